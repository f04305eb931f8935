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

// waysToRead are the two ways to read the mount table, forced in turn.
var waysToRead = map[string][]helpertest.Denied{
	"statmount": nil,
	"mountinfo": helpertest.NoStatmount,
}

// A mount whose device cannot be sent is taken back, whichever way it was made and the
// table is read.
func TestSendFailsEveryWay(t *testing.T) {
	for mount, denyMount := range waysToMount {
		for read, denyRead := range waysToRead {
			t.Run(mount+"/"+read, func(t *testing.T) {
				call, mountpoint := asUser(t)
				call.Deny = slices.Concat(denyMount, denyRead)
				call.HangUp = true
				wantRefusal(t, run(t, call), mountpoint, "failed to send the fuse descriptor: Broken pipe")
				call.HangUp, call.Prefill = false, true
				wantRefusal(t, run(t, call), mountpoint, "failed to send the fuse descriptor: Resource temporarily unavailable")
				call.Prefill = false
				wantMounted(t, run(t, call), mountpoint) // the failures left it usable
				unmount(t, call, mountpoint)
			})
		}
	}
}

// umount2 answers EINVAL if what it found on top went while it waited for the kernel's lock, as
// happens where many mount at one place.
func TestTakenBackThoughTheTopWent(t *testing.T) {
	call, mountpoint := asUser(t)
	helpertest.NeedIntercept(t)
	answers := 0
	call.HangUp = true
	call.Intercept = func(c helpertest.Syscall) helpertest.Verdict {
		if c.Name != "umount2" {
			return helpertest.Continue
		}
		if answers++; answers < 5 {
			return helpertest.Fail(unix.EINVAL)
		}
		return helpertest.Continue
	}
	wantRefusal(t, run(t, call), mountpoint, "Broken pipe; the mount was taken back")
}

// Nothing is left in utab and mtab, either.
func TestSendFailsTables(t *testing.T) {
	for read, deny := range waysToRead {
		t.Run(read, func(t *testing.T) {
			call, mountpoint := asUser(t)
			const before = "SRC=x TARGET=/else ROOT=/ OPTS=x-y\n"
			writeFile(t, "/run/mount/utab", before)
			t.Cleanup(func() { _ = os.RemoveAll("/run/mount") })
			call.Deny, call.HangUp = deny, true
			call.Args = []string{"-o", "x-a", mountpoint}
			wantRefusal(t, run(t, call), mountpoint, "failed to send the fuse descriptor: Broken pipe")
			wantTable(t, before, 0)
		})
	}
}

// unmountCall is -u, or -u -z, by the same caller and with the same failing system calls.
func unmountCall(call helpertest.Call, args ...string) helpertest.Call {
	return helpertest.Call{
		Prog: call.Prog, UID: call.UID, GID: call.GID, Dir: "/", Socket: helpertest.NoSocket,
		Deny: call.Deny, Args: append([]string{"-u"}, args...),
	}
}

func wantUnmounted(t *testing.T, call helpertest.Call, mountpoint string) {
	t.Helper()
	if r := run(t, unmountCall(call, mountpoint)); r.Exit != 0 || r.Stderr != "" {
		t.Errorf("unmount: exit %d, %q", r.Exit, r.Stderr)
	}
	wantNothing(t, mountpoint)
}

// wantKept wants an unmount to be refused and the mounts to stay.
func wantKept(t *testing.T, call helpertest.Call, text string, mountpoints ...string) {
	t.Helper()
	if r := run(t, call); r.Exit != 1 || !strings.Contains(r.Stderr, text) {
		t.Errorf("exit %d, %q; want 1, %q", r.Exit, r.Stderr, text)
	}
	for _, m := range mountpoints {
		wantThere(t, m)
	}
}

// mounted mounts with the helper and serves the mount.
func mounted(t *testing.T, call helpertest.Call, tree fuseserver.Tree) {
	t.Helper()
	r := run(t, call)
	wantMounted(t, r, call.Args[len(call.Args)-1])
	server := fuseserver.Serve(r.Dev, tree)
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A lazy unmount takes along no FUSE mount of another user's either.
func TestLazyKeepsOthers(t *testing.T) {
	for read, deny := range waysToRead {
		t.Run(read, func(t *testing.T) {
			call, outer := asUser(t)
			call.Deny = deny
			writeFile(t, "/etc/fuse.conf", "user_allow_other\n")
			t.Cleanup(func() { _ = os.Remove("/etc/fuse.conf") })
			call.Args = []string{"-o", "allow_other", outer}
			everybody := map[string]fuseserver.Attr{"file": {Mode: unix.S_IFREG | 0o666}}
			mounted(t, call, fuseserver.Tree{Files: map[string][]byte{"file": []byte("x")}, Lies: everybody})
			inner := filepath.Join(outer, "file")
			other := call
			other.UID, other.GID, other.Args = bob, bob, []string{inner}
			mounted(t, other, fuseserver.Tree{FileRoot: []byte("y")})

			wantKept(t, unmountCall(call, "-z", outer), "a mount of type fuse that is not yours lies inside", outer, inner)
			wantKept(t, unmountCall(call, outer), "Device or resource busy", outer, inner)
			wantKept(t, unmountCall(call, "-z", inner), "entry for "+inner+" not found in /etc/mtab", outer, inner)
			wantKept(t, unmountCall(other, "-z", outer), "entry for "+outer+" not found in /etc/mtab", outer, inner)
			wantUnmounted(t, other, inner)
			if r := run(t, unmountCall(call, "-z", outer)); r.Exit != 0 || r.Stderr != "" {
				t.Errorf("exit %d, %q", r.Exit, r.Stderr)
			}
			wantNothing(t, outer)
		})
	}
}

// The caller's own mounts inside are unmounted with it.
func TestLazyTakesOwn(t *testing.T) {
	for read, deny := range waysToRead {
		t.Run(read, func(t *testing.T) {
			call, outer := asUser(t)
			call.Deny = deny
			mounted(t, call, fuseserver.Tree{Files: map[string][]byte{"file": nil}, Lies: map[string]fuseserver.Attr{"file": {UID: alice}}})
			inner := call
			inner.Args = []string{filepath.Join(outer, "file")}
			mounted(t, inner, fuseserver.Tree{FileRoot: []byte("y")})
			if r := run(t, unmountCall(call, "-z", outer)); r.Exit != 0 || r.Stderr != "" {
				t.Errorf("exit %d, %q", r.Exit, r.Stderr)
			}
			wantNothing(t, outer)
			wantNothing(t, inner.Args[0])
		})
	}
}

// A bind mount is a mount of its own, of the same owner.
func TestBindSurvives(t *testing.T) {
	for read, deny := range waysToRead {
		t.Run(read, func(t *testing.T) {
			call, first := asUser(t)
			call.Deny = deny
			second := fusetest.Dir(t, alice)
			mounted(t, call, fuseserver.Tree{})
			if err := unix.Mount(first, second, "", unix.MS_BIND, ""); err != nil {
				t.Fatal(err)
			}
			other := call
			other.UID, other.GID = bob, bob
			wantKept(t, unmountCall(other, second), "entry for "+second+" not found in /etc/mtab", first, second)
			wantUnmounted(t, call, first)
			wantThere(t, second)
			wantKept(t, unmountCall(call, first), "entry for "+first+" not found in /etc/mtab", second)
			wantUnmounted(t, call, second)
		})
	}
}

func mustRename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// A mount moves with its parent: the new path leads to it, the old one to nothing or to
// what is there now.
func TestParentRenamed(t *testing.T) {
	for read, deny := range waysToRead {
		t.Run(read, func(t *testing.T) {
			call, home := asUser(t)
			call.Deny = deny
			before, after := filepath.Join(home, "before"), filepath.Join(home, "after")
			was, now := filepath.Join(before, "m"), filepath.Join(after, "m")
			makeOwned(t, before, was)
			call.Args = []string{was}
			mounted(t, call, fuseserver.Tree{})
			mustRename(t, before, after)
			wantKept(t, unmountCall(call, was), "bad mount point "+was+": No such file or directory", now)
			makeOwned(t, before)
			wantKept(t, unmountCall(call, was), "entry for "+was+" not found in /etc/mtab", now)
			makeOwned(t, was)
			wantKept(t, unmountCall(call, "-z", was), "entry for "+was+" not found in /etc/mtab", now)
			wantUnmounted(t, call, now)
		})
	}
}

func makeOwned(t *testing.T, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, alice, alice); err != nil {
			t.Fatal(err)
		}
	}
}
