package mount

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/policy"
	"github.com/go-fusermount/fusermount/internal/signals"
)

// MountSyncInit is Mount for sync-init: begin is called when the file system is described
// to the kernel, and not yet created. The creation waits for the daemon if the device was
// asked to; meanwhile wait is called with a descriptor that becomes readable when it has
// ended, and an error of wait breaks it off. What the new mount API cannot do fails before
// begin: mount(2) cannot be split.
func MountSyncInit(
	plan policy.Plan, d *Device, at *Mountpoint,
	begin func() error, wait func(ended int) error, last func() error,
) (*Mounted, error) {
	t, held, err := at.terms(plan)
	switch {
	case err != nil:
		return nil, err
	case !held:
		return nil, &MountError{Errno: unix.EINVAL, Message: mtab.ErrOutside.Error()}
	case !t.Fits():
		return nil, &MountError{Errno: unix.ENAMETOOLONG}
	}
	fd, err := mountByContext(t, d, at, last, func(context int) error {
		if err := begin(); err != nil {
			return err
		}
		c, err := fsconfigCreateApart(context)
		if err != nil {
			return &MountError{Errno: err}
		}
		gaveUp := wait(c.fd)
		err = c.end(gaveUp != nil)
		if gaveUp != nil {
			return gaveUp
		}
		return contextError(context, err)
	})
	if err != nil {
		return nil, err
	}
	return confirm(&Mounted{fd: fd, at: at}, t, at)
}

// child is a process that makes one system call and exits with its error.
//
// With sync-init, the creation of a file system waits for its daemon and ends only by the
// answer or a fatal signal: the kernel keeps the device open, so a dead daemon is not
// noticed. So a process has to wait that can be killed.
type child struct {
	pid int
	fd  int // a pidfd: readable when the child has ended
}

// fsconfigCreateNew is FSCONFIG_CMD_CREATE_EXCL (linux/mount.h, 6.6).
const fsconfigCreateNew = 8

// forkCreate starts a child that creates the file system of context: a new one, since the caller
// has the device already and may have made one with it. (Kernels before 6.6 cannot be told so. They
// reuse one of the same user namespace only, where the caller cannot have made it.) The child
// inherits the capabilities that are raised at this moment, and is killed when this process ends.
func forkCreate(context int) (child, error) {
	// No signal handler of the Go runtime may run in the child, which has one thread.
	old, err := signals.MaskAll()
	if err != nil {
		return child{}, err
	}
	pid, fd, errno := cloneAndCreate(uintptr(context), uintptr(unix.Getpid()))
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil); err != nil {
		return child{}, err
	}
	if errno != 0 {
		return child{}, fmt.Errorf("clone: %w", errno)
	}
	return child{pid: int(pid), fd: int(fd)}, nil
}

// cloneAndCreate returns in the parent only. The child makes raw system calls and nothing
// else: no allocation and no stack growth, as between fork and exec in package syscall.
//
//go:norace
//go:nosplit
//go:noinline
func cloneAndCreate(context, parent uintptr) (pid uintptr, fd int32, errno syscall.Errno) {
	flags, stack := unix.CLONE_PIDFD|uintptr(unix.SIGCHLD), uintptr(0)
	if runtime.GOARCH == "s390x" { // has these two the other way round
		flags, stack = stack, flags
	}
	pid, _, errno = syscall.RawSyscall6(unix.SYS_CLONE, flags, stack, uintptr(unsafe.Pointer(&fd)), 0, 0, 0)
	if errno != 0 || pid != 0 {
		return pid, fd, errno
	}
	_, _, errno = syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0, 0)
	// The parent may have ended before that took effect.
	if now, _, _ := syscall.RawSyscall(unix.SYS_GETPPID, 0, 0, 0); errno == 0 && now == parent {
		_, _, errno = syscall.RawSyscall6(unix.SYS_FSCONFIG, context, fsconfigCreateNew, 0, 0, 0, 0)
		if errno == unix.EOPNOTSUPP { // before Linux 6.6
			_, _, errno = syscall.RawSyscall6(unix.SYS_FSCONFIG, context, unix.FSCONFIG_CMD_CREATE, 0, 0, 0, 0)
		}
	}
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, uintptr(errno), 0, 0)
	}
}

// end waits for the child, killed first if it is not wanted any more, and gives the error
// of its call.
func (c child) end(kill bool) error {
	if kill { // without success, the child ends with this process
		if err := unix.Kill(c.pid, unix.SIGKILL); err != nil {
			return fmt.Errorf("kill: %w", err)
		}
	}
	var status unix.WaitStatus
	_, err := unix.Wait4(c.pid, &status, 0, nil)
	for errors.Is(err, unix.EINTR) {
		_, err = unix.Wait4(c.pid, &status, 0, nil)
	}
	if err := errors.Join(err, unix.Close(c.fd)); err != nil {
		return err
	}
	switch {
	case status.Signaled():
		return unix.ECANCELED
	case status.ExitStatus() != 0:
		return unix.Errno(status.ExitStatus())
	}
	return nil
}
