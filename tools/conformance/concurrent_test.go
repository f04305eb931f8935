package conformance

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusedev"
	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// Of many mounts at one place at once, those that fail leave nothing and take no other away.
// In half of the cases all calls have judged the mountpoint before the first one mounts.
func TestConcurrentMounts(t *testing.T) {
	for name, c := range map[string]struct {
		deny    []helpertest.Denied
		meetAt  string // a system call
		rounds  int
		mounted int // calls that mount; 0: those that come late may mount on top
	}{
		"new API":               {rounds: rounds(100)},
		"mount(2)":              {rounds: rounds(100), deny: helpertest.NoFsopen},
		"new API, at the call":  {rounds: rounds(50), meetAt: "move_mount", mounted: 1},
		"mount(2), at the call": {rounds: rounds(50), deny: helpertest.NoFsopen, meetAt: "mount", mounted: 1},
	} {
		t.Run(name, func(t *testing.T) {
			call, mountpoint := asUser(t)
			if c.deny != nil && !connectionTold(t, call, mountpoint) {
				return // COMPAT.md names this limit of older kernels
			}
			call.Deny, call.Args = c.deny, []string{"-o", "default_permissions", mountpoint}
			if c.meetAt != "" {
				helpertest.NeedIntercept(t)
			}
			const calls = 10
			for range c.rounds {
				mounted := mountAtOnce(t, call, calls, c.meetAt)
				left := 0
				for _, line := range fusetest.Mountinfo(t) {
					if line.Mountpoint == mountpoint {
						left++
					}
				}
				if left != mounted || c.mounted != 0 && mounted != c.mounted {
					t.Errorf("%d calls mounted, and %d mounts are there", mounted, left)
				}
				for range left {
					unmount(t, call, mountpoint)
				}
				if t.Failed() {
					return
				}
			}
		})
	}
}

// connectionTold says whether this kernel tells which connection a device serves.
func connectionTold(t *testing.T, call helpertest.Call, mountpoint string) bool {
	t.Helper()
	r := run(t, call)
	if r.Exit != 0 {
		t.Fatalf("exit %d, %s", r.Exit, r.Stderr)
	}
	_, told := fusedev.Connection(int(r.Dev.Fd()))
	if err := r.Dev.Close(); err != nil {
		t.Error(err)
	}
	unmount(t, call, mountpoint)
	return told
}

// mountAtOnce starts calls, serves what they mount, and gives how many have mounted. Each of
// them waits for the others before the system call meetAt.
func mountAtOnce(t *testing.T, call helpertest.Call, n int, meetAt string) (mounted int) {
	t.Helper()
	var ended, there sync.WaitGroup
	there.Add(n)
	var mu sync.Mutex
	for range n {
		arrive := sync.OnceFunc(there.Done)
		if meetAt != "" {
			call.InterceptFrom = "openat"
			call.Intercept = func(c helpertest.Syscall) helpertest.Verdict {
				if c.Name == meetAt {
					arrive()
					there.Wait()
				}
				return helpertest.Continue
			}
		}
		p := helpertest.Start(t, call)
		ended.Add(1)
		go func() {
			defer ended.Done()
			r := p.Wait()
			arrive()
			mu.Lock()
			defer mu.Unlock()
			switch {
			case r.Exit == 0:
				mounted++
				s := fuseserver.Serve(r.Dev, fuseserver.Tree{})
				t.Cleanup(func() { _ = s.Close() })
			case strings.Contains(r.Stderr, "not be taken back"), r.NFDs != 0:
				t.Error(r.Stderr)
			}
		}()
	}
	ended.Wait()
	return mounted
}

// What lies at the last moment on top of a mount that is taken back stays, the same user's
// too.
func TestTakenBackBelow(t *testing.T) {
	for name, mount := range map[string]func(dir string) error{
		"root's": func(dir string) error { return unix.Mount("last", dir, "tmpfs", 0, "") },
		"their own": func(dir string) error {
			s, err := fuseserver.Mount(dir, fuseserver.Tree{}, fuseserver.MountOptions{UID: alice, GID: alice, Source: "last"})
			if err == nil {
				t.Cleanup(func() { _ = s.Close() })
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			call, mountpoint := asUser(t)
			helpertest.NeedIntercept(t)
			t.Cleanup(func() {
				for range fusetest.MountsAt(t, mountpoint) {
					_ = unix.Unmount(mountpoint, unix.MNT_DETACH)
				}
			})
			attached, covered := false, false
			var failed error
			call.InterceptFrom = "openat"
			call.Intercept = func(c helpertest.Syscall) helpertest.Verdict {
				switch {
				case c.Name == "move_mount":
					failed = unix.Mount("below", mountpoint, "tmpfs", 0, "") // so the new mount is not where it was to be
					attached = true
				case attached && !covered:
					failed = errors.Join(failed, mount(mountpoint))
					covered = true
				}
				return helpertest.Continue
			}
			call.Args = []string{mountpoint}
			r := run(t, call)
			if failed != nil {
				t.Fatal(failed)
			}
			if r.Exit != 1 || !strings.Contains(r.Stderr, "could not be taken back: something else is mounted on top") {
				t.Errorf("exit %d, %s", r.Exit, r.Stderr)
			}
			if line, found, err := fusetest.TopMount(mountpoint); err != nil || !found || line.Source != "last" {
				t.Errorf("on top is %+v, %v", line, err)
			}
		})
	}
}
