package conformance

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// watched is a mount whose helper stays as its watcher.
type watched struct {
	*fusetest.Proc
	call       fusetest.Call
	mountpoint string
	server     *fusetest.Server
}

// watch mounts with auto_unmount and serves the mount.
func watch(t *testing.T) *watched {
	t.Helper()
	call, mountpoint := asUser(t)
	// Reading it must leave nothing open that the watcher would close.
	writeFile(t, "/etc/fuse.conf", "mount_max = 1000\n")
	t.Cleanup(func() { _ = os.Remove("/etc/fuse.conf") })
	call.Args = []string{"-o", "auto_unmount,fsname=watched", mountpoint}
	return startWatch(t, call, mountpoint)
}

func startWatch(t *testing.T, call fusetest.Call, mountpoint string) *watched {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	p, err := call.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Receive(time.Now().Add(10 * time.Second))
	if err != nil || got.Dev == nil {
		t.Fatalf("%+v, %v: %s", got, err, p.Wait().Stderr)
	}
	w := &watched{Proc: p, call: call, mountpoint: mountpoint, server: fusetest.Serve(got.Dev, fusetest.Tree{})}
	t.Cleanup(func() { _ = w.server.Close() }) // most tests have killed it
	return w
}

// die is what a killed daemon does: all of its descriptors close.
func (w *watched) die(t *testing.T) {
	t.Helper()
	if err := w.server.Close(); err != nil {
		t.Fatal(err)
	}
	w.closeSocket(t)
}

func (w *watched) closeSocket(t *testing.T) {
	t.Helper()
	if err := w.CloseSocket(); err != nil {
		t.Fatal(err)
	}
}

func (w *watched) wantExit(t *testing.T, status int) {
	t.Helper()
	if r := w.Wait(); r.Err != nil || r.Exit != status {
		t.Errorf("the watcher: exit %d, signal %v, %v: %s", r.Exit, r.Signal, r.Err, r.Stderr)
	}
}

func wantThere(t *testing.T, mountpoint string) {
	t.Helper()
	if _, found := fusetest.FindMount(t, mountpoint); !found {
		t.Error("the mount is gone")
	}
}

func TestWatchDaemonKilled(t *testing.T) {
	w := watch(t)
	w.die(t)
	w.wantExit(t, 0)
	wantNothing(t, w.mountpoint)
}

// A daemon that lives on without the socket keeps its mount.
func TestWatchDaemonLives(t *testing.T) {
	w := watch(t)
	<-w.server.Ready()
	w.closeSocket(t)
	w.wantExit(t, 0)
	wantThere(t, w.mountpoint)
	unmount(t, w.call, w.mountpoint)
}

func TestWatchUnmountedBefore(t *testing.T) {
	w := watch(t)
	unmount(t, w.call, w.mountpoint)
	other := w.call
	other.Args = []string{"-o", "fsname=other", w.mountpoint}
	wantMounted(t, run(t, other), w.mountpoint)
	w.die(t)
	w.wantExit(t, 0)
	wantThere(t, w.mountpoint)
	unmount(t, w.call, w.mountpoint)
}

// Something on top of the dead mount stays, and so does the mount.
func TestWatchStacked(t *testing.T) {
	w := watch(t)
	if err := unix.Mount("upper", w.mountpoint, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	w.die(t)
	w.wantExit(t, 0)
	if line, _ := fusetest.FindMount(t, w.mountpoint); line.FSType != "tmpfs" {
		t.Errorf("topmost: %+v", line)
	}
}

// The mount is found by its id, not by its path.
func TestWatchParentRenamed(t *testing.T) {
	call, home := asUser(t)
	mountpoint := filepath.Join(home, "parent", "m")
	if err := os.MkdirAll(mountpoint, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Dir(mountpoint), mountpoint} {
		if err := os.Chown(dir, alice, alice); err != nil {
			t.Fatal(err)
		}
	}
	call.Args = []string{"-o", "auto_unmount", mountpoint}
	w := startWatch(t, call, mountpoint)
	moved := filepath.Join(home, "moved")
	if err := os.Rename(filepath.Dir(mountpoint), moved); err != nil {
		t.Fatal(err)
	}
	wantThere(t, filepath.Join(moved, "m"))
	w.die(t)
	w.wantExit(t, 0)
	wantNothing(t, filepath.Join(moved, "m"))
}

// Bytes and signals do not end the watch.
func TestWatchIgnores(t *testing.T) {
	w := watch(t)
	if err := w.Send([]byte("not for you")); err != nil {
		t.Fatal(err)
	}
	waitIgnoring(t, w.Pid())
	for sig := unix.Signal(1); sig <= 64; sig++ {
		if sig == unix.SIGKILL || sig == unix.SIGSTOP {
			continue
		}
		if err := w.Signal(sig); err != nil {
			t.Errorf("%v: %v", sig, err)
		}
	}
	select {
	case <-w.Exited():
		t.Fatal("the watcher has ended")
	default:
	}
	w.die(t)
	w.wantExit(t, 0)
	wantNothing(t, w.mountpoint)
}

// waitIgnoring waits until the watcher ignores signals: it does so after the
// reply.
func waitIgnoring(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); status(t, pid)["SigBlk"] != "fffffffe7ffbfeff" &&
		status(t, pid)["SigBlk"] != "fffffffffffbfeff"; {
		if time.Now().After(deadline) {
			t.Fatalf("SigBlk is %s", status(t, pid)["SigBlk"])
		}
	}
}

func status(t *testing.T, pid int) map[string]string {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		fields[name] = strings.TrimSpace(value)
	}
	return fields
}

// What a watcher holds while it waits.
func TestWatchHolds(t *testing.T) {
	w := watch(t)
	waitIgnoring(t, w.Pid())
	s := status(t, w.Pid())
	for name, want := range map[string]string{
		"Uid": "4242\t4242\t4242\t4242", "Gid": "4242\t4242\t4242\t4242",
		"CapPrm": "0000000000200000", "CapEff": "0000000000000000", "CapInh": "0000000000000000",
		"CapBnd": "0000000000000000", "CapAmb": "0000000000000000", "NoNewPrivs": "1",
	} {
		if s[name] != want {
			t.Errorf("%s is %q, want %q", name, s[name], want)
		}
	}
	dir := "/proc/" + strconv.Itoa(w.Pid())
	if cwd, err := os.Readlink(dir + "/cwd"); err != nil || cwd != "/" {
		t.Errorf("directory %q, %v", cwd, err)
	}
	fds, err := os.ReadDir(dir + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		link, err := os.Readlink(dir + "/fd/" + fd.Name())
		if err != nil || (link != "/dev/null" && !strings.HasPrefix(link, "socket:")) {
			t.Errorf("descriptor %s is %s, %v", fd.Name(), link, err)
		}
	}
	if len(fds) != 4 {
		t.Errorf("%d descriptors, want the streams and the socket", len(fds))
	}
	w.die(t)
	w.wantExit(t, 0)
}

// The memory that 20 watchers have to themselves.
func TestWatchMemory(t *testing.T) {
	var all []*watched
	call, _ := asUser(t)
	for range 20 { // of one program, so that its pages are shared
		mountpoint := fusetest.Dir(t, alice)
		call.Args = []string{"-o", "auto_unmount", mountpoint}
		w := startWatch(t, call, mountpoint)
		waitIgnoring(t, w.Pid())
		all = append(all, w)
	}
	most := 0
	for _, w := range all {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(w.Pid()) + "/smaps_rollup")
		if err != nil {
			t.Fatal(err)
		}
		private := 0
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[0], "Private_") {
				kb, err := strconv.Atoi(f[1])
				if err != nil {
					t.Fatal(err)
				}
				private += kb
			}
		}
		most = max(most, private)
	}
	t.Logf("%d watchers, at most %d kB of private memory each", len(all), most)
	for _, w := range all {
		w.die(t)
		w.wantExit(t, 0)
		wantNothing(t, w.mountpoint)
	}
}

// --auto-unmount mounts nothing and watches what is there.
func TestWatchAlone(t *testing.T) {
	call, mountpoint := asUser(t)
	call.Args = []string{"--auto-unmount", "--", mountpoint}
	wantRefusal(t, run(t, call), mountpoint, "entry for "+mountpoint+" not found in /etc/mtab")

	first := call
	first.Args = []string{mountpoint}
	r := run(t, first)
	wantMounted(t, r, mountpoint)
	server := fusetest.Serve(r.Dev, fusetest.Tree{})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	p, err := call.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	waitIgnoring(t, p.Pid())
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if err := p.CloseSocket(); err != nil {
		t.Error(err)
	}
	if r := p.Wait(); r.Exit != 0 {
		t.Errorf("exit %d: %s", r.Exit, r.Stderr)
	}
	wantNothing(t, mountpoint)
}
