package fusetest

import (
	"errors"
	"os"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest/testsys"
)

// notice is struct seccomp_notif (linux/seccomp.h).
type notice struct {
	id    uint64
	pid   uint32 // the thread
	flags uint32
	nr    int32
	arch  uint32
	ip    uint64
	args  [6]uint64
}

// response is struct seccomp_notif_resp.
type response struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

// housekeeping are the calls by which the Go runtime runs its threads and
// memory. They come at no foreseeable moment, so they are never shown. A clone
// that makes a thread is one more; see tell.
var housekeeping = []uintptr{
	unix.SYS_FUTEX, unix.SYS_SCHED_YIELD, unix.SYS_RT_SIGRETURN, unix.SYS_RESTART_SYSCALL, unix.SYS_TGKILL,
	unix.SYS_SIGALTSTACK, unix.SYS_MADVISE, unix.SYS_MUNMAP, mmap, handOver,
}

var mmap, _ = testsys.SyscallNumber("mmap")

// handOver is the call by which the shim sends the listener: it cannot wait
// for who has not got it yet. No program under test uses it.
const handOver = unix.SYS_SENDMMSG

const listenerFlags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV

// NeedIntercept skips the test where the kernel cannot show system calls to a
// [Call]'s Intercept.
func NeedIntercept(t testing.TB) {
	t.Helper()
	// A kernel that knows the flags goes on to look for the filter.
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, listenerFlags, 0)
	if errno == unix.EINVAL || errno == unix.ENOSYS {
		Skip(t, "run a kernel with SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (Linux 5.19)")
	}
}

// installListener installs a filter that has calls wait for an answer on the
// listener, which it sends over control. A signal to the program does not
// interrupt a call that is being looked at.
func installListener(prog []unix.SockFilter, control int) error {
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	listener, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, listenerFlags, uintptr(unsafe.Pointer(&fprog)))
	runtime.KeepAlive(prog)
	if errno != 0 {
		return os.NewSyscallError("seccomp", errno)
	}
	return sendListener(control, int(listener))
}

func sendListener(control, listener int) error {
	rights := unix.UnixRights(listener)
	zero := [1]byte{}
	iov := unix.Iovec{Base: &zero[0]}
	iov.SetLen(1)
	var message struct {
		unix.Msghdr
		sent uint32
	}
	message.Iov, message.Control = &iov, &rights[0]
	message.SetIovlen(1)
	message.SetControllen(len(rights))
	_, _, errno := unix.RawSyscall6(handOver, uintptr(control), uintptr(unsafe.Pointer(&message)), 1, 0, 0, 0)
	if errno != 0 {
		return os.NewSyscallError("sendmmsg", errno)
	}
	return nil
}

// errListenerEnd says that no program with the filter is left.
var errListenerEnd = errors.New("no program is left")

// nextNotice waits for a call. ENOENT: it was interrupted before it could be
// looked at.
func nextNotice(listener int) (notice, error) {
	fds := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return notice{}, os.NewSyscallError("poll", err)
		}
		break
	}
	if fds[0].Revents&unix.POLLIN == 0 {
		return notice{}, errListenerEnd
	}
	for {
		var n notice // the kernel insists on zeros
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&n)))
		switch errno {
		case 0:
			return n, nil
		case unix.EINTR:
		default:
			return notice{}, os.NewSyscallError("ioctl", errno)
		}
	}
}

// respond lets the call go on, or gives it its result.
func respond(listener int, id uint64, v Verdict) error {
	r := response{id: id}
	switch {
	case v.kind == carryOut:
		r.flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
	case v.value < 0:
		r.errno = int32(v.value)
	default:
		r.value = v.value
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&r)))
	if errno != 0 {
		return os.NewSyscallError("ioctl", errno)
	}
	return nil
}
