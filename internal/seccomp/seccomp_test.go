package seccomp

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/entry"
)

// try is a system call whose arguments make it fail with Want where it is allowed, and
// with EPERM where the filter denies it.
type try struct {
	name string
	nr   uintptr
	args [6]uintptr
	want unix.Errno
	with Task // allowed with any of these; 0: never
}

const (
	someUID = 4242
	noFD    = ^uintptr(0) // -1
)

var always = ^Task(0)

// nowhere is a path that does not exist.
var nowhere = []byte("/nonexistent/x\x00")

func tries() []try {
	path := uintptr(unsafe.Pointer(&nowhere[0]))
	never := []try{
		{"execve", unix.SYS_EXECVE, [6]uintptr{path, 0, 0}, unix.ENOENT, 0},
		{"execveat", unix.SYS_EXECVEAT, [6]uintptr{noFD, path, 0, 0, 0}, unix.ENOENT, 0},
		{"ptrace", unix.SYS_PTRACE, [6]uintptr{^uintptr(0)}, unix.EIO, 0},
		{"setresuid", sysSetresuid, [6]uintptr{noFD, noFD, noFD}, 0, 0},
		{"unshare", unix.SYS_UNSHARE, [6]uintptr{0}, 0, 0},
		{"setns", unix.SYS_SETNS, [6]uintptr{noFD, 0}, unix.EBADF, 0},
		{"chroot", unix.SYS_CHROOT, [6]uintptr{path}, unix.ENOENT, 0},
		{"open_tree", unix.SYS_OPEN_TREE, [6]uintptr{noFD, path, 0}, unix.ENOENT, 0},
		{"mount_setattr", unix.SYS_MOUNT_SETATTR, [6]uintptr{noFD, path, 0, 0, 0}, unix.EINVAL, 0},
		{"mkdirat", unix.SYS_MKDIRAT, [6]uintptr{noFD, path, 0}, unix.ENOENT, 0},
		{"linkat", unix.SYS_LINKAT, [6]uintptr{noFD, path, noFD, path, 0}, unix.ENOENT, 0},
		{"fchmodat", unix.SYS_FCHMODAT, [6]uintptr{noFD, path, 0}, unix.ENOENT, 0},
		{"ioctl", unix.SYS_IOCTL, [6]uintptr{noFD}, unix.EBADF, 0},
		{"ioctl TIOCSTI", unix.SYS_IOCTL, [6]uintptr{noFD, unix.TIOCSTI}, unix.EBADF, 0},
		{"bpf", unix.SYS_BPF, [6]uintptr{^uintptr(0)}, unix.EINVAL, 0},
		{"memfd_create", unix.SYS_MEMFD_CREATE, [6]uintptr{path, ^uintptr(0)}, unix.EINVAL, 0},
		{"process_vm_readv", unix.SYS_PROCESS_VM_READV, [6]uintptr{0, 0, 0, 0, 0, 1}, unix.EINVAL, 0},
		{"io_uring_setup", unix.SYS_IO_URING_SETUP, [6]uintptr{0, 0}, unix.EFAULT, 0},
		{"kill with SIGTERM", unix.SYS_KILL, [6]uintptr{1 << 30, uintptr(unix.SIGTERM)}, unix.ESRCH, 0},
		{"mprotect executable", unix.SYS_MPROTECT, [6]uintptr{1, 1, unix.PROT_EXEC}, unix.EINVAL, 0},
		{"mmap executable", sysMmap, [6]uintptr{0, 0, unix.PROT_EXEC, unix.MAP_PRIVATE, noFD, 0}, unix.EBADF, 0},
		{"clone3", unix.SYS_CLONE3, [6]uintptr{0, 0}, unix.EINVAL, 0},
		{
			"clone of a thread in a namespace of its own", unix.SYS_CLONE,
			[6]uintptr{unix.CLONE_THREAD | unix.CLONE_NEWNS | unix.CLONE_FS},
			unix.EINVAL, 0,
		},
		{"clone of a process", unix.SYS_CLONE, [6]uintptr{unix.CLONE_NEWNS | unix.CLONE_FS}, unix.EINVAL, 0},
	}
	return append(never,
		try{"mmap", sysMmap, [6]uintptr{0, 0, 0, unix.MAP_PRIVATE, noFD, 0}, unix.EBADF, always},
		try{"openat", unix.SYS_OPENAT, [6]uintptr{noFD, path, 0}, unix.ENOENT, Mount | Unmount | Tables | Leave},
		try{"openat to write", unix.SYS_OPENAT, [6]uintptr{noFD, path, unix.O_WRONLY}, unix.ENOENT, Mount | Tables | Leave},
		try{"openat to create", unix.SYS_OPENAT, [6]uintptr{noFD, path, unix.O_CREAT}, unix.ENOENT, Tables},
		try{"openat of no name", unix.SYS_OPENAT, [6]uintptr{noFD, path, unix.O_TMPFILE | unix.O_RDWR}, unix.ENOENT, Tables},
		try{"prctl dumpable", unix.SYS_PRCTL, [6]uintptr{unix.PR_SET_DUMPABLE, 77}, unix.EINVAL, Tables},
		try{"unlinkat", unix.SYS_UNLINKAT, [6]uintptr{noFD, path, 0}, unix.ENOENT, Tables},
		try{"setfsuid as nobody else", entry.Setfsuid, [6]uintptr{12345}, notDenied, 0},
		try{"ioctl", unix.SYS_IOCTL, [6]uintptr{noFD, unix.TIOCGWINSZ}, unix.EBADF, 0},
		try{"fsconfig on nothing", unix.SYS_FSCONFIG, [6]uintptr{noFD}, unix.EINVAL, Mount},
		try{"fsconfig", unix.SYS_FSCONFIG, [6]uintptr{1 << 20}, unix.EINVAL, Mount},
		try{"fsopen", unix.SYS_FSOPEN, [6]uintptr{path, ^uintptr(0)}, unix.EINVAL, Mount},
		try{"move_mount", unix.SYS_MOVE_MOUNT, [6]uintptr{noFD, path, noFD, path, 0}, unix.ENOENT, Mount},
		try{"mount", unix.SYS_MOUNT, [6]uintptr{path, path, path, unix.MS_BIND, 0}, unix.ENOENT, OldMount},
		try{"umount2", unix.SYS_UMOUNT2, [6]uintptr{path, 1 << 30}, unix.EINVAL, Mount | Unmount},
		try{"kill with SIGKILL", unix.SYS_KILL, [6]uintptr{1 << 30, uintptr(unix.SIGKILL)}, unix.ESRCH, Answer},
		try{"wait4", unix.SYS_WAIT4, [6]uintptr{1 << 30, 0, 0, 0}, unix.ECHILD, Answer},
		try{"chdir", unix.SYS_CHDIR, [6]uintptr{path}, unix.ENOENT, Leave},
		try{"seccomp", unix.SYS_SECCOMP, [6]uintptr{^uintptr(0)}, unix.EINVAL, Leave},
	)
}

// notDenied is for a call that reports no error.
const notDenied = unix.Errno(0)

// combinations are those that the program uses, and each task alone.
var combinations = []Task{
	Print, Mount, OldMount, Unmount, Tables, Answer, Leave, Watch,
	Mount | OldMount, Mount | OldMount | Tables | Leave | Watch, Mount | Answer | Leave | Watch, Unmount | Tables, Unmount | Watch,
}

const inChild = "CONFINE_TEST_TASKS"

func TestMain(m *testing.M) {
	if text, ok := os.LookupEnv(inChild); ok {
		if err := child(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child installs the filter, and prints the result of each try on this thread and on one
// that existed before.
func child(text string) error {
	var tasks Task
	if _, err := fmt.Sscan(text, &tasks); err != nil {
		return err
	}
	// A thread alone has no_new_privs, and without CAP_SYS_ADMIN it has to be the
	// one that asks for the filter.
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	confined, done := make(chan struct{}), make(chan []unix.Errno)
	ready := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		close(ready)
		<-confined
		done <- tryAll()
	}()
	<-ready
	if err := To(tasks, someUID, someUID); err != nil {
		return err
	}
	mode, _, errno := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_GET_SECCOMP, 0, 0)
	if errno != unix.EPERM {
		return fmt.Errorf("no filter: %d, %v", mode, errno)
	}
	here := tryAll()
	close(confined)
	if there := <-done; !slices.Equal(here, there) {
		return errors.New("another thread is not confined in the same way")
	}
	return json.NewEncoder(os.Stdout).Encode(here)
}

func tryAll() (got []unix.Errno) {
	for _, t := range tries() {
		_, _, errno := unix.RawSyscall6(t.nr, t.args[0], t.args[1], t.args[2], t.args[3], t.args[4], t.args[5])
		got = append(got, errno)
	}
	return got
}

// refused says whether the kernel itself, without a filter, keeps the call from
// us: some it refuses to whoever lacks CAP_SYS_ADMIN before it looks at arguments.
func refused(c try) bool {
	if c.nr != unix.SYS_FSOPEN && c.nr != unix.SYS_MOVE_MOUNT {
		return false // others might do something
	}
	_, _, errno := unix.RawSyscall6(c.nr, c.args[0], c.args[1], c.args[2], c.args[3], c.args[4], c.args[5])
	return errno == unix.EPERM
}

func TestTo(t *testing.T) {
	if !supported {
		t.Skip("there is no list for " + runtime.GOARCH + "; run on amd64, 386 or arm64")
	}
	if _, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0); err != nil {
		t.Skip("run a kernel with CONFIG_SECCOMP_FILTER")
	}
	for _, tasks := range combinations {
		t.Run(fmt.Sprintf("%#x", uint(tasks)), func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = []string{fmt.Sprintf("%s=%d", inChild, tasks)}
			out, err := cmd.Output()
			if err != nil {
				var exit *exec.ExitError
				errors.As(err, &exit)
				t.Fatalf("%v: %s", err, exit.Stderr)
			}
			var got []unix.Errno
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatal(err)
			}
			for i, c := range tries() {
				want := unix.EPERM
				switch {
				case refused(c): // whatever the filter says
				case tasks&c.with != 0 || c.with == always:
					want = c.want
				case c.nr == unix.SYS_CLONE3:
					want = unix.ENOSYS
				}
				if got[i] != want {
					t.Errorf("%s: %v, want %v", c.name, got[i], want)
				}
			}
		})
	}
}
