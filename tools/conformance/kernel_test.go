package conformance

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
	"github.com/go-fusermount/fusermount/internal/fusetest/testsys"
)

// These tests find out what the kernel can do, in another way than the helper, and then
// check that the helper uses it. 'make test-vm' writes the facts that they log into a table,
// by kernel.

// kernelHas reports whether a system call exists. It passes invalid arguments.
func kernelHas(t *testing.T, name string) bool {
	t.Helper()
	nr, ok := testsys.SyscallNumber(name)
	if !ok {
		t.Fatalf("no number known for %s", name)
	}
	const nonsense = ^uintptr(0)
	_, _, errno := unix.RawSyscall6(nr, nonsense, nonsense, nonsense, nonsense, nonsense, nonsense)
	return errno != unix.ENOSYS
}

// fact tells of this kernel, for the table of 'make test-vm'.
func fact(t *testing.T, key, value string) {
	t.Helper()
	t.Logf("fact %s=%s", key, value)
}

func kill(names ...string) (list []helpertest.Denied) {
	for _, name := range names {
		list = append(list, helpertest.Denied{Name: name, Kill: true})
	}
	return list
}

// wantKilled wants the helper to have died of a forbidden call.
func wantKilled(t *testing.T, r helpertest.Result, mountpoint string) {
	t.Helper()
	if r.Signal != unix.SIGSYS {
		t.Errorf("exit %d, signal %v: %s; want it to make the call", r.Exit, r.Signal, r.Stderr)
	}
	wantNothing(t, mountpoint)
}

func TestKernel(t *testing.T) {
	fusetest.NeedDevice(t)
	fuse := "built in"
	if _, err := os.Stat("/sys/module/fuse/initstate"); err == nil { // only modules have one
		fuse = "module"
	}
	fact(t, "fuse", fuse)
}

// Where the kernel has the new mount API, the helper uses it: mount(2) would kill it
// here. On other kernels the calls of the new API would.
func TestWayToMount(t *testing.T) {
	taken, other := []string{"mount"}, []string{"fsopen", "fsconfig", "fsmount", "move_mount"}
	name := "mount(2)"
	if kernelHas(t, "fsopen") {
		taken, other, name = other, taken, "new API"
	}
	call, mountpoint := asUser(t)
	call.Deny = kill(other...)
	wantMounted(t, run(t, call), mountpoint)
	unmount(t, call, mountpoint)
	for _, syscall := range taken {
		call.Deny = kill(syscall)
		wantKilled(t, run(t, call), mountpoint)
	}
	fact(t, "mounts-with", name)
}

// The helper reads the table with statmount where the kernel has it.
func TestWayToRead(t *testing.T) {
	call, mountpoint := asUser(t)
	call.Deny = kill("statmount")
	unmounting := unmountCall(call, mountpoint)
	if !kernelHas(t, "statmount") {
		wantMounted(t, run(t, call), mountpoint)
		if r := run(t, unmounting); r.Exit != 0 {
			t.Errorf("unmount: exit %d, signal %v: %s", r.Exit, r.Signal, r.Stderr)
		}
		fact(t, "reads-with", "mountinfo")
		return
	}
	wantKilled(t, run(t, call), mountpoint)
	call.Deny = nil
	wantMounted(t, run(t, call), mountpoint)
	if r := run(t, unmounting); r.Signal != unix.SIGSYS {
		t.Errorf("unmount: exit %d, signal %v: %s; want it to make the call", r.Exit, r.Signal, r.Stderr)
	}
	unmount(t, call, mountpoint)
	fact(t, "reads-with", "statmount")
}

// withoutProc calls the helper in a copy of the mount namespace that has no /proc.
func withoutProc(t *testing.T, call helpertest.Call) helpertest.Result {
	t.Helper()
	ids := strconv.Itoa(int(call.UID))
	args := []string{
		"-m", "--propagation", "unchanged", "sh", "-c",
		`while umount -l /proc 2>/dev/null; do :; done && exec setpriv --reuid "$0" --regid "$0" --clear-groups "$@"`, ids, call.Prog,
	}
	call.Prog, call.KeepRoot, call.Args = "/usr/bin/unshare", true, append(args, call.Args...)
	call.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "_FUSE_COMMFD=3"}
	return run(t, call)
}

// Where statmount answers, /proc is not needed.
func TestWithoutProc(t *testing.T) {
	if !kernelHas(t, "statmount") {
		fusetest.Skip(t, "run a kernel with statmount (Linux 6.8)")
	}
	call, mountpoint := asUser(t)
	for way, deny := range waysToMount {
		call := call
		call.Deny = deny
		if r := withoutProc(t, call); r.Exit != 0 || r.Dev == nil {
			t.Errorf("%s: exit %d, %s", way, r.Exit, r.Stderr)
		}
	}
	for _, flag := range []string{"-u", "-z"} {
		wantMounted(t, run(t, call), mountpoint)
		if r := withoutProc(t, unmountCall(call, flag, mountpoint)); r.Exit != 0 || r.Stderr != "" {
			t.Errorf("%s: exit %d, %s", flag, r.Exit, r.Stderr)
		}
		unmount(t, call, mountpoint) // it was only unmounted in the copy
	}
}

// Without statmount and /proc the helper could not take a mount back. It reports that
// and mounts nothing: the calls that attach a mount would kill it here.
func TestWithoutTable(t *testing.T) {
	const unreadable = ": the mount table cannot be read: /proc/self/mountinfo: no such file or directory\n"
	call, mountpoint := asUser(t)
	blind := call
	for way, deny := range waysToMount {
		blind.Deny = slices.Concat(waysToRead["mountinfo"], deny, kill("move_mount", "mount"))
		if r := withoutProc(t, blind); r.Exit != 1 || !strings.HasSuffix(r.Stderr, unreadable) {
			t.Errorf("%s: exit %d, signal %v, %q", way, r.Exit, r.Signal, r.Stderr)
		}
	}
	wantMounted(t, run(t, call), mountpoint)
	for _, flag := range []string{"-u", "-z"} {
		blind := unmountCall(call, flag, mountpoint)
		blind.Deny = waysToRead["mountinfo"]
		if r := withoutProc(t, blind); r.Exit != 1 || !strings.HasSuffix(r.Stderr, unreadable) {
			t.Errorf("%s: exit %d, signal %v, %q", flag, r.Exit, r.Signal, r.Stderr)
		}
	}
	unmount(t, call, mountpoint)
}

// On some kernels mount(2) knows nosymfollow and fsmount does not. Its error is not
// mistaken for another one.
func TestNosymfollowOfOldKernels(t *testing.T) {
	call, mountpoint := asUser(t)
	call.Deny = helpertest.Deny(unix.EINVAL, "fsmount")
	wantRefusal(t, run(t, call), mountpoint, "mount failed: Invalid argument")
	call.Args = []string{"-o", "nosymfollow", mountpoint}
	wantMounted(t, run(t, call), mountpoint)
	if line, _ := fusetest.FindMount(t, mountpoint); !line.HasOption("nosymfollow") {
		t.Errorf("mounted with %s", line.Options)
	}
	unmount(t, call, mountpoint)
}

// A security module or a seccomp filter that was written for mount(2) may refuse any
// call of the new mount API, with any error. The mount is then made by mount(2).
func TestFallbackToMount2(t *testing.T) {
	errnos := []unix.Errno{unix.ENOSYS, unix.EPERM, unix.EACCES}
	if testing.Short() {
		errnos = errnos[:1]
	}
	for _, name := range []string{"fsopen", "fsconfig", "fsmount", "move_mount"} {
		for _, errno := range errnos {
			t.Run(name+"/"+unix.ErrnoName(errno), func(t *testing.T) {
				call, mountpoint := asUser(t)
				call.Deny = helpertest.Deny(errno, name)
				call.Args = []string{"-o", "ro,fsname=a,subtype=b", mountpoint}
				wantMounted(t, run(t, call), mountpoint)
				wantUnmounted(t, call, mountpoint)

				call.Deny = slices.Concat(call.Deny, kill("mount"))
				wantKilled(t, run(t, call), mountpoint)

				call.Deny = slices.Concat(helpertest.Deny(errno, name), helpertest.Deny(unix.EACCES, "mount"))
				wantRefusal(t, run(t, call), mountpoint, "mount failed: Permission denied")
			})
		}
	}
}

// On a kernel without subtypes mount(2) fails with ENODEV. The source then begins with
// the subtype, unless it is the subtype.
func TestWithoutSubtypes(t *testing.T) {
	helpertest.NeedIntercept(t)
	for options, source := range map[string]string{"subtype=b,fsname=a": "b#a", "subtype=b": "b"} {
		for _, errno := range []unix.Errno{unix.EPERM, unix.EACCES} {
			t.Run(options+"/"+unix.ErrnoName(errno), func(t *testing.T) {
				call, mountpoint := asUser(t)
				call.Args = []string{"-o", options, mountpoint}
				call.Deny = helpertest.Deny(errno, "fsopen")
				var types []string
				call.Intercept = func(s helpertest.Syscall) helpertest.Verdict {
					if s.Name != "mount" {
						return helpertest.Continue
					}
					fstype, err := s.Text(2)
					if err != nil {
						t.Error(err)
					}
					if types = append(types, fstype); len(types) > 1 {
						return helpertest.Continue
					}
					return helpertest.Fail(unix.ENODEV)
				}
				wantMounted(t, run(t, call), mountpoint)
				if !slices.Equal(types, []string{"fuse.b", "fuse"}) {
					t.Errorf("tried the types %q", types)
				}
				if line, _ := fusetest.FindMount(t, mountpoint); line.FSType != "fuse" || line.Source != source {
					t.Errorf("type %q, source %q; want fuse, %q", line.FSType, line.Source, source)
				}
				call.Intercept = nil
				wantUnmounted(t, call, mountpoint)
			})
		}
	}
}
