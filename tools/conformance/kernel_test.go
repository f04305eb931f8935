package conformance

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/testsys"
)

// What differs between kernels is asked of the kernel here, in another way than
// the helper does it, and the helper is then held to it. 'make test-vm' puts
// the attributes that these tests set into a table, by kernel.

// kernelHas says whether a system call exists. Its arguments are nonsense.
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

func kill(names ...string) (list []fusetest.Denied) {
	for _, name := range names {
		list = append(list, fusetest.Denied{Name: name, Kill: true})
	}
	return list
}

// wantKilled wants the helper to have died of a forbidden call.
func wantKilled(t *testing.T, r fusetest.Result, mountpoint string) {
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
	t.Attr("fuse", fuse)
}

// The helper mounts with the new API where the kernel has it: mount(2) would
// end it. A kernel without it is held to mount(2) alone.
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
	t.Attr("mounts-with", name)
}

// The helper reads the table with statmount where the kernel has it, and does
// not even try where it has not.
func TestWayToRead(t *testing.T) {
	call, mountpoint := asUser(t)
	call.Deny = kill("statmount")
	unmounting := unmountCall(call, mountpoint)
	if !kernelHas(t, "statmount") {
		wantMounted(t, run(t, call), mountpoint)
		if r := run(t, unmounting); r.Exit != 0 {
			t.Errorf("unmount: exit %d, signal %v: %s", r.Exit, r.Signal, r.Stderr)
		}
		t.Attr("reads-with", "mountinfo")
		return
	}
	wantKilled(t, run(t, call), mountpoint)
	call.Deny = nil
	wantMounted(t, run(t, call), mountpoint)
	if r := run(t, unmounting); r.Signal != unix.SIGSYS {
		t.Errorf("unmount: exit %d, signal %v: %s; want it to make the call", r.Exit, r.Signal, r.Stderr)
	}
	unmount(t, call, mountpoint)
	t.Attr("reads-with", "statmount")
}

// withoutProc calls the helper where there is no /proc. The namespace of the
// test is left as it is: /proc is gone in a copy.
func withoutProc(t *testing.T, call fusetest.Call) fusetest.Result {
	t.Helper()
	ids := strconv.Itoa(int(call.UID))
	args := []string{
		"-m", "--propagation", "unchanged", "sh", "-c",
		`umount -l /proc && exec setpriv --reuid "$0" --regid "$0" --clear-groups "$@"`, ids, call.Prog,
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
		unmount(t, call, mountpoint) // the mount was gone in the copy alone
	}
}

// Where it does not, nothing is mounted that could not be taken back, and the
// reason is said. The calls that attach a mount would end the helper.
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

// fsmount does not know nosymfollow on every kernel where mount(2) does. What
// it says then is not taken for anything else.
func TestNosymfollowOfOldKernels(t *testing.T) {
	call, mountpoint := asUser(t)
	call.Deny = fusetest.Deny(unix.EINVAL, "fsmount")
	wantRefusal(t, run(t, call), mountpoint, "mount failed: Invalid argument")
	call.Args = []string{"-o", "nosymfollow", mountpoint}
	wantMounted(t, run(t, call), mountpoint)
	if line, _ := fusetest.FindMount(t, mountpoint); !line.HasOption("nosymfollow") {
		t.Errorf("mounted with %s", line.Options)
	}
	unmount(t, call, mountpoint)
}

// A security module or a seccomp filter that was written for mount(2) refuses any
// call of the new mount API, in its own words. The mount is made all the same, by
// the call that is known to it.
func TestFallbackToMount2(t *testing.T) {
	errnos := []unix.Errno{unix.ENOSYS, unix.EPERM, unix.EACCES}
	if testing.Short() {
		errnos = errnos[:1]
	}
	for _, name := range []string{"fsopen", "fsconfig", "fsmount", "move_mount"} {
		for _, errno := range errnos {
			t.Run(name+"/"+unix.ErrnoName(errno), func(t *testing.T) {
				call, mountpoint := asUser(t)
				call.Deny = fusetest.Deny(errno, name)
				call.Args = []string{"-o", "ro,fsname=a,subtype=b", mountpoint}
				wantMounted(t, run(t, call), mountpoint)
				wantUnmounted(t, call, mountpoint)

				call.Deny = slices.Concat(call.Deny, kill("mount"))
				wantKilled(t, run(t, call), mountpoint)

				call.Deny = slices.Concat(fusetest.Deny(errno, name), fusetest.Deny(unix.EACCES, "mount"))
				wantRefusal(t, run(t, call), mountpoint, "mount failed: Permission denied")
			})
		}
	}
}

// A kernel that knows no subtypes tells mount(2) that it knows no such type. The
// source then begins with the subtype, unless it is the subtype already.
func TestWithoutSubtypes(t *testing.T) {
	fusetest.NeedIntercept(t)
	for options, source := range map[string]string{"subtype=b,fsname=a": "b#a", "subtype=b": "b"} {
		for _, errno := range []unix.Errno{unix.EPERM, unix.EACCES} {
			t.Run(options+"/"+unix.ErrnoName(errno), func(t *testing.T) {
				call, mountpoint := asUser(t)
				call.Args = []string{"-o", options, mountpoint}
				call.Deny = fusetest.Deny(errno, "fsopen")
				var types []string
				call.Intercept = func(s fusetest.Syscall) fusetest.Verdict {
					if s.Name != "mount" {
						return fusetest.Continue
					}
					fstype, err := s.Text(2)
					if err != nil {
						t.Error(err)
					}
					if types = append(types, fstype); len(types) > 1 {
						return fusetest.Continue
					}
					return fusetest.Fail(unix.ENODEV)
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
