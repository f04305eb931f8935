package mount

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// child is a process of our own that makes one system call and exits with its
// error.
//
// With sync-init the creation of a file system waits for its daemon, and ends
// by nothing but the answer or a fatal signal: the kernel keeps the device open
// meanwhile, so a daemon that died is not noticed. The one who waits must be
// somebody that can be killed.
type child struct {
	pid int
	fd  int // a pidfd: readable when the child has ended
}

// fsconfigCreateNew is FSCONFIG_CMD_CREATE_EXCL (linux/mount.h, 6.6).
const fsconfigCreateNew = 8

// forkCreate starts a child that has the kernel create the file system that
// context describes: a new one, since the caller has the device already, and
// what may have been made with it would be taken as it is. (Kernels before 6.6
// cannot be told so. They take it within its user namespace alone, where the
// caller cannot have made it himself.) The child inherits the rights that are
// raised at this moment and every descriptor, and is killed when this process
// ends.
func forkCreate(context int) (child, error) {
	var all, old unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	// No signal handler of Go's may run in the child: its runtime has no other
	// thread any more.
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, &old); err != nil {
		return child{}, fmt.Errorf("sigprocmask: %w", err)
	}
	pid, fd, errno := cloneAndCreate(uintptr(context), uintptr(unix.Getpid()))
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil); err != nil {
		return child{}, fmt.Errorf("sigprocmask: %w", err)
	}
	if errno != 0 {
		return child{}, fmt.Errorf("clone: %w", errno)
	}
	return child{pid: int(pid), fd: int(fd)}, nil
}

// cloneAndCreate returns in the parent only. The child makes raw system calls
// and nothing else: no allocation, no growth of the stack, as it is between
// fork and exec in package syscall.
//
//go:norace
//go:nosplit
//go:noinline
func cloneAndCreate(context, parent uintptr) (pid uintptr, fd int32, errno syscall.Errno) {
	pid, _, errno = rawClone(unix.CLONE_PIDFD|uintptr(unix.SIGCHLD), uintptr(unsafe.Pointer(&fd)))
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

// end waits for the child, killed first if it is not wanted any more, and
// gives the error of its call. One that cannot be killed is not waited for: it
// is when this process ends.
func (c child) end(kill bool) error {
	if kill {
		if err := unix.Kill(c.pid, unix.SIGKILL); err != nil {
			return fmt.Errorf("kill: %w", err)
		}
	}
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(c.pid, &status, 0, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err := errors.Join(err, unix.Close(c.fd)); err != nil {
			return err
		}
		break
	}
	switch {
	case status.Signaled():
		return unix.ECANCELED
	case status.ExitStatus() != 0:
		return unix.Errno(status.ExitStatus())
	}
	return nil
}
