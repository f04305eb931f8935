//go:build linux

package service

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusedev"
	"github.com/go-fusermount/fusermount/internal/mount"
	"github.com/go-fusermount/fusermount/internal/priv"
	"github.com/go-fusermount/fusermount/internal/rawfile"
	"github.com/go-fusermount/fusermount/internal/signals"
)

// A file system belongs to the user namespace in which its context and its device were opened:
// there its files have the right owners, and its root cannot make processes outside wait. Only a
// process with one thread can enter a user namespace. So a child opens the two, in the table of
// descriptors that it shares with this process. Everything else needs no namespace.

// opener is what the child reads and writes: the words that it sends are a copy of its own.
type opener struct {
	user, socket, parent, pipe uintptr
	table                      int     // the mount namespace to enter, or -1
	device                     uintptr // AT_FDCWD, and the path
	path, driver               *byte
	credSize                   uint32
	pidfd                      int32

	sent struct {
		step, errno int32
		fd, context int32
		cred        unix.Ucred // in the namespace
	}
}

// owned is what was opened in another user namespace.
type owned struct {
	device   *mount.Device
	noDevice error  // why there is no device
	uid, gid uint32 // of the socket's peer, as the namespace calls them
}

// openerSteps are the calls of the child.
var openerSteps = [...]string{"prctl", "setns", "SO_PEERCRED", "open", "fsopen", "setns to the mount namespace"}

// overflowID is what the kernel tells of an id that has no number in a namespace, unless the
// administrator has changed it.
const overflowID = 65534

// openIn enters the user namespace, and opens the fuse device (as this process's root directory has
// it) and a context there. A context can be opened in a mount namespace that this user namespace owns:
// table, or this thread's if that is -1. The child can be stopped by the root of that namespace: it
// has this long.
func openIn(user, table, socket int, limit time.Duration) (got owned, err error) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return got, fmt.Errorf("pipe: %w", err)
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	cwd := unix.AT_FDCWD
	o := &opener{
		user: uintptr(user), socket: uintptr(socket), parent: uintptr(unix.Getpid()), pipe: uintptr(pipe[1]),
		credSize: unix.SizeofUcred, device: uintptr(cwd), table: table,
	}
	if o.path, err = unix.BytePtrFromString(fusedev.Path); err == nil {
		o.driver, err = unix.BytePtrFromString("fuse")
	}
	if err != nil {
		return got, err
	}
	pid := 0
	err = priv.With(priv.SysAdmin, func() (err error) { // over the namespace, to enter it
		pid, err = o.fork()
		return err
	})
	if err != nil {
		return got, err
	}
	defer unix.Close(int(o.pidfd))
	fds := []unix.PollFd{{Fd: int32(pipe[0]), Events: unix.POLLIN}, {Fd: o.pidfd, Events: unix.POLLIN}}
	deadline := time.Now().Add(limit)
	for {
		n, err := unix.Poll(fds, int(time.Until(deadline)/time.Millisecond)+1)
		if n > 0 || err != nil && !errors.Is(err, unix.EINTR) || time.Now().After(deadline) {
			break
		}
	}
	n, err := unix.Read(pipe[0], unsafe.Slice((*byte)(unsafe.Pointer(&o.sent)), unsafe.Sizeof(o.sent)))
	if n <= 0 {
		err = errors.Join(errors.New("the child in the user namespace did not answer"), err)
	}
	err = errors.Join(err, unix.Kill(pid, unix.SIGKILL)) // in any case: it can be stopped after its answer, too
	waited := rawfile.RetryEINTR(func() error {
		_, err := unix.Wait4(pid, nil, 0, nil)
		return err
	})
	if err = errors.Join(err, waited); err != nil {
		return got, err
	}
	return o.result()
}

func (o *opener) result() (got owned, err error) {
	s := &o.sent
	noDevice := s.errno != 0 && openerSteps[s.step] == "open"
	switch {
	case s.errno != 0 && !noDevice:
		return got, fmt.Errorf("in the user namespace that owns the mount namespace: %s: %w", openerSteps[s.step], unix.Errno(s.errno))
	case s.cred.Uid == overflowID || s.cred.Gid == overflowID:
		return got, errors.New("your ids have no number in the user namespace that owns this mount namespace")
	}
	got = owned{uid: s.cred.Uid, gid: s.cred.Gid}
	if noDevice {
		got.noDevice = &mount.DeviceError{Path: fusedev.Path, Errno: unix.Errno(s.errno)}
	} else {
		got.device = mount.NewDevice(fusedev.Path, int(s.fd), int(s.context))
	}
	return got, nil
}

// fork starts the child. It inherits the capabilities that are raised at this moment, and is killed
// when this process ends.
func (o *opener) fork() (pid int, err error) {
	old, err := signals.MaskAll() // no signal handler of the Go runtime may run in the child
	if err != nil {
		return 0, err
	}
	child, errno := o.clone()
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil); err != nil {
		return 0, err
	}
	if errno != 0 {
		return 0, fmt.Errorf("clone: %w", errno)
	}
	return int(child), nil
}

// clone returns in the parent only. The child makes raw system calls and nothing else: no allocation
// and no stack growth, as between fork and exec in package syscall.
//
//go:norace
//go:nosplit
//go:noinline
func (o *opener) clone() (pid uintptr, errno syscall.Errno) {
	flags, stack := unix.CLONE_FILES|unix.CLONE_PIDFD|uintptr(unix.SIGCHLD), uintptr(0)
	if runtime.GOARCH == "s390x" { // has these two the other way round
		flags, stack = stack, flags
	}
	pid, _, errno = syscall.RawSyscall6(unix.SYS_CLONE, flags, stack, uintptr(unsafe.Pointer(&o.pidfd)), 0, 0, 0)
	if errno != 0 || pid != 0 {
		return pid, errno
	}
	_, _, errno = syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0, 0)
	if errno == 0 {
		o.sent.step = 1
		_, _, errno = syscall.RawSyscall(unix.SYS_SETNS, o.user, unix.CLONE_NEWUSER, 0)
	}
	if errno == 0 { // again: new capabilities reset it, unless the client has made the namespace
		_, _, errno = syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0, 0)
	}
	// The parent may have ended before that took effect.
	if now, _, _ := syscall.RawSyscall(unix.SYS_GETPPID, 0, 0, 0); now != o.parent {
		errno = unix.ESRCH
	}
	if errno == 0 {
		o.sent.step = 2
		_, _, errno = syscall.RawSyscall6(unix.SYS_GETSOCKOPT, o.socket, unix.SOL_SOCKET, unix.SO_PEERCRED,
			uintptr(unsafe.Pointer(&o.sent.cred)), uintptr(unsafe.Pointer(&o.credSize)), 0)
	}
	if errno == 0 {
		o.sent.step = 3
		fd, _, failed := syscall.RawSyscall6(unix.SYS_OPENAT, o.device, uintptr(unsafe.Pointer(o.path)), unix.O_RDWR|unix.O_CLOEXEC, 0, 0, 0)
		o.sent.fd, errno = int32(fd), failed
	}
	if errno == 0 && o.table >= 0 {
		o.sent.step = 5
		_, _, errno = syscall.RawSyscall(unix.SYS_SETNS, uintptr(o.table), unix.CLONE_NEWNS, 0)
	}
	if errno == 0 {
		o.sent.step = 4
		fd, _, failed := syscall.RawSyscall(unix.SYS_FSOPEN, uintptr(unsafe.Pointer(o.driver)), unix.FSOPEN_CLOEXEC, 0)
		o.sent.context, errno = int32(fd), failed
	}
	o.sent.errno = int32(errno)
	syscall.RawSyscall(unix.SYS_WRITE, o.pipe, uintptr(unsafe.Pointer(&o.sent)), unsafe.Sizeof(o.sent))
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
}
