package conformance

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// doorstep makes the mountpoint the root of a tmpfs that root has mounted and alice
// owns, like /run/user/UID.
func doorstep(t *testing.T, mountpoint string) {
	t.Helper()
	if err := unix.Mount("doorstep", mountpoint, "tmpfs", 0, "mode=0755,uid=4242,gid=4242"); err != nil {
		t.Fatal(err)
	}
}

func wantDoorstep(t *testing.T, mountpoint string) {
	t.Helper()
	if line, found := fusetest.FindMount(t, mountpoint); !found || line.Source != "doorstep" {
		t.Errorf("the mount below is gone, or covered: %+v", line)
	}
}

// meanwhile runs -u, once or more often, before a system call of another run of the
// helper.
func meanwhile(t *testing.T, call helpertest.Call, mountpoint string, times int, before func(helpertest.Syscall) bool) helpertest.Result {
	t.Helper()
	helpertest.NeedIntercept(t)
	other, done := unmountCall(call, mountpoint), false
	call.InterceptFrom = "getresuid"
	call.Intercept = func(s helpertest.Syscall) helpertest.Verdict {
		if !done && before(s) {
			done = true
			for range times {
				if r := other.Run(t.Context()); r.Err != nil || r.Exit != 0 {
					t.Errorf("the other run: %+v", r)
				}
			}
		}
		return helpertest.Continue
	}
	r := run(t, call)
	if !done {
		t.Error("the moment never came")
	}
	return r
}

// Concurrent runs of -u unmount the caller's mounts, one or a stack of them, and not what
// is below.
func TestUnmountTwice(t *testing.T) {
	depths := []int{3, 2, 1}
	if testing.Short() {
		depths = depths[:1]
	}
	for read, deny := range waysToRead {
		for _, own := range depths {
			t.Run(fmt.Sprintf("%s/%d", read, own), func(t *testing.T) {
				call, mountpoint := asUser(t)
				call.Deny = deny
				doorstep(t, mountpoint)
				for range own {
					mounted(t, call, fuseserver.Tree{})
				}
				r := meanwhile(t, unmountCall(call, mountpoint), mountpoint, own, func(s helpertest.Syscall) bool { return s.Name == "umount2" })
				if r.Exit != 1 || !strings.Contains(r.Stderr, "failed to unmount "+mountpoint+": Invalid argument") {
					t.Errorf("exit %d, %q", r.Exit, r.Stderr)
				}
				wantDoorstep(t, mountpoint)
			})
		}
	}
}

// The caller unmounts the new mount before the helper, which mounted by mount(2), has
// found it. What is below stays.
func TestUnmountedBeforeFound(t *testing.T) {
	for read, deny := range waysToRead {
		t.Run(read, func(t *testing.T) {
			call, mountpoint := asUser(t)
			call.Deny = deny
			doorstep(t, mountpoint)
			call.Args = []string{"-o", "fsname=" + strings.Repeat("x", 300), mountpoint} // too long for fsconfig
			mounted := false
			r := meanwhile(t, call, mountpoint, 1, func(s helpertest.Syscall) bool {
				was := mounted
				mounted = mounted || s.Name == "mount"
				return was
			})
			if r.Exit != 1 || r.NFDs != 0 || !strings.Contains(r.Stderr, "mount failed: the mountpoint was moved meanwhile") {
				t.Errorf("exit %d, %d descriptors, %q", r.Exit, r.NFDs, r.Stderr)
			}
			wantDoorstep(t, mountpoint)
		})
	}
}

// A mount on the root of another one is unmounted though it is in use: only a lazy
// unmount works by descriptor. A mount inside of it prevents that.
func TestUnmountStacked(t *testing.T) {
	call, mountpoint := asUser(t)
	doorstep(t, mountpoint)
	mounted(t, call, fuseserver.Tree{Files: map[string][]byte{"file": nil}, Lies: map[string]fuseserver.Attr{"file": {UID: alice}}})
	inner := call
	inner.Args = []string{mountpoint + "/file"}
	mounted(t, inner, fuseserver.Tree{FileRoot: []byte("y")})
	wantKept(t, unmountCall(call, mountpoint), "failed to unmount "+mountpoint+": Device or resource busy", inner.Args[0])
	wantUnmounted(t, call, inner.Args[0])
	var dir int
	err := fusetest.AsUser(alice, alice, func() (err error) {
		dir, err = unix.Open(mountpoint, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(dir)
	if r := run(t, unmountCall(call, mountpoint)); r.Exit != 0 || r.Stderr != "" {
		t.Errorf("exit %d, %q", r.Exit, r.Stderr)
	}
	wantDoorstep(t, mountpoint)
}

// The watcher unmounts only its own mount: another dead one on top stays.
func TestWatchDeadOnTop(t *testing.T) {
	lower := watch(t)
	<-lower.server.Ready()
	upper := startWatch(t, lower.call, lower.mountpoint)
	<-upper.server.Ready()
	if err := upper.server.Close(); err != nil {
		t.Fatal(err)
	}
	lower.die(t)
	lower.wantExit(t, 0)
	if n := len(fusetest.MountsAt(t, lower.mountpoint)); n != 2 {
		t.Errorf("%d mounts, want both", n)
	}
	upper.closeSocket(t)
	upper.wantExit(t, 0)
	unmount(t, lower.call, lower.mountpoint)
}

// On a mount of the caller's own, a mount that is in use stays.
func TestUnmountStackedOnOwn(t *testing.T) {
	call, mountpoint := asUser(t)
	mounted(t, call, fuseserver.Tree{})
	mounted(t, call, fuseserver.Tree{})
	var dir int
	err := fusetest.AsUser(alice, alice, func() (err error) {
		dir, err = unix.Open(mountpoint, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := run(t, unmountCall(call, mountpoint)); r.Exit != 1 || !strings.Contains(r.Stderr, "Device or resource busy") {
		t.Errorf("exit %d, %q", r.Exit, r.Stderr)
	}
	if err := unix.Close(dir); err != nil {
		t.Fatal(err)
	}
	for left := 1; left >= 0; left-- {
		if r := run(t, unmountCall(call, mountpoint)); r.Exit != 0 || r.Stderr != "" {
			t.Errorf("exit %d, %q", r.Exit, r.Stderr)
		}
		if n := len(fusetest.MountsAt(t, mountpoint)); n != left {
			t.Errorf("%d mounts left, want %d", n, left)
		}
	}
}
