package conformance

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// The caller can stop the helper for any time, by a signal or a full pipe for its
// messages. What has changed in that time is noticed before anything is attached, since
// the caller could kill the helper before it takes a mount back.
func TestJudgedBeforeAttaching(t *testing.T) {
	// For each API the last call before the mountpoint is examined again, and the one
	// that attaches.
	moments := map[string][2]string{"fsopen": {"fsmount", "move_mount"}, "mount2": {"fchdir", "mount"}}
	for way, deny := range waysToMount {
		for name, c := range map[string]struct {
			change func(t *testing.T, mountpoint string)
			text   string
		}{
			"not writable any more":   {func(t *testing.T, m string) { chmod(t, m, 0o555) }, "user has no write access to mountpoint "},
			"mount_max reached":       {func(t *testing.T, _ string) { writeFile(t, "/etc/fuse.conf", "mount_max = 0\n") }, "too many FUSE filesystems mounted"},
			"something mounted there": {cover, "mount failed: Device or resource busy (something else was mounted there meanwhile"},
		} {
			t.Run(way+"/"+name, func(t *testing.T) {
				call, mountpoint := asUser(t)
				t.Cleanup(func() { _ = os.Remove("/etc/fuse.conf") })
				call.Deny = deny
				seen := intercept(t, &call, moments[way][0], func() { c.change(t, mountpoint) })
				before := len(fusetest.Mountinfo(t))
				r := run(t, call)
				if r.Exit != 1 || r.NFDs != 0 || !strings.Contains(r.Stderr, c.text) {
					t.Errorf("exit %d, %d descriptors, %q", r.Exit, r.NFDs, r.Stderr)
				}
				if slices.Contains(*seen, moments[way][1]) {
					t.Error("the mount was attached, if only for a moment")
				}
				_ = unix.Unmount(mountpoint, unix.MNT_DETACH) // upper, if it is mounted
				if after := len(fusetest.Mountinfo(t)); after != before {
					t.Errorf("%d mounts before, %d after", before, after)
				}
			})
		}
	}
}

// A daemon can delay its answer, and the kernel and the helper wait for it.
func TestSyncInitJudgedAfterInit(t *testing.T) {
	call, mountpoint := syncCall(t, "")
	s := startSync(t, call, mountpoint)
	s.serve(t, fuseserver.Options{HangBeforeInit: true})
	s.answer(t)
	s.waitCreating(t)
	chmod(t, mountpoint, 0o555)
	s.server.Resume()
	s.wantStatus(t, unix.EPERM)
	s.wantFailed(t, "user has no write access to mountpoint ")
}

// A mount that covers ours in the last moment is noticed afterwards, and ours is taken
// back before the caller is told of it. Its daemon serves it by then.
func TestSyncInitTakenBackFirst(t *testing.T) {
	call, mountpoint := syncCall(t, "")
	seen := intercept(t, &call, "move_mount", func() { cover(t, mountpoint) })
	s := startSync(t, call, mountpoint)
	s.answer(t)
	s.wantStatus(t, unix.EBUSY)
	if r := s.Wait(); r.Exit != 1 || !strings.Contains(r.Stderr, "something else was mounted there meanwhile") {
		t.Errorf("exit %d, %q", r.Exit, r.Stderr)
	}
	undone, sent := slices.Index(*seen, "umount2"), slices.Index(*seen, "sendmsg")
	if undone < 0 || undone > sent {
		t.Errorf("taken back as call %d, sent as %d: %v", undone, sent, *seen)
	}
	if line, found := fusetest.FindMount(t, mountpoint); !found || line.Source != "upper" {
		t.Errorf("%+v", line)
	}
}

// intercept runs f before the first call of a name. It returns the names of the calls
// from that one on, to be read when the helper has ended.
func intercept(t *testing.T, call *helpertest.Call, name string, f func()) (seen *[]string) {
	t.Helper()
	helpertest.NeedIntercept(t)
	seen = new([]string)
	call.InterceptFrom = "getresuid"
	call.Intercept = func(s helpertest.Syscall) helpertest.Verdict {
		if s.Name == name && len(*seen) == 0 {
			f()
		}
		if s.Name == name || len(*seen) > 0 {
			*seen = append(*seen, s.Name)
		}
		return helpertest.Continue
	}
	t.Cleanup(func() {
		if len(*seen) == 0 {
			t.Error("the moment never came")
		}
	})
	return seen
}

// cover mounts a tmpfs of root's.
func cover(t *testing.T, mountpoint string) {
	if err := unix.Mount("upper", mountpoint, "tmpfs", 0, ""); err != nil {
		t.Error(err)
	}
}

// TestSwapDuringMount exchanges the mountpoint with that of another mount while the
// helper mounts by mount(2), which returns no descriptor of the mount. In any case there
// is no mount whose device was not sent, and no line in a table for a mount that is not
// ours.
func TestSwapDuringMount(t *testing.T) {
	call, home := asUser(t)
	call.Deny = helpertest.NoFsopen
	writeFile(t, "/run/mount/utab", "")
	t.Cleanup(func() { _ = os.RemoveAll("/run/mount") })
	a, b := filepath.Join(home, "a"), filepath.Join(home, "b")
	for _, dir := range []string{a, b} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, alice, alice); err != nil {
			t.Fatal(err)
		}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go swap(a, b, stop, stopped)
	defer func() {
		close(stop)
		<-stopped
	}()
	call.Args = []string{"-o", "x-a,fsname=swapped", a}
	mounted, moved := 0, 0
	for range rounds(200) {
		r := run(t, call)
		switch {
		case r.Exit == 0 && r.Dev != nil:
			mounted++
		case r.Exit == 1 && r.Dev == nil:
			moved++
		default:
			t.Fatalf("exit %d, %d descriptors: %s", r.Exit, r.NFDs, r.Stderr)
		}
		takeAway(t, home, r.Exit == 0)
	}
	t.Logf("%d mounted, %d refused", mounted, moved)
}

// swap exchanges two directories until it is stopped. Where one is a
// mountpoint the kernel refuses.
func swap(a, b string, stop <-chan struct{}, stopped chan<- struct{}) {
	defer close(stopped)
	for {
		select {
		case <-stop:
			return
		default:
			_ = unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE) // EBUSY while mounted
		}
	}
}

// takeAway wants at most the mount whose device was sent, and unmounts it.
func takeAway(t *testing.T, home string, sent bool) {
	t.Helper()
	found := 0
	for _, line := range fusetest.Mountinfo(t) {
		if strings.HasPrefix(line.Mountpoint, home+"/") {
			found++
			if err := unix.Unmount(line.Mountpoint, unix.MNT_DETACH); err != nil {
				t.Fatal(err)
			}
		}
	}
	if (found == 1) != sent || found > 1 {
		t.Fatalf("%d mounts, sent %v", found, sent)
	}
}
