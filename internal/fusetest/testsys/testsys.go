// Package testsys has the system calls that the packages for tests share: ids of one
// thread, signal sets, socket pairs, and the numbers and names of system calls.
package testsys

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SetThreadIDs gives this thread all three ids and the groups. With keepGroups, as in
// a user namespace that forbids setgroups, it leaves the groups as they are.
func SetThreadIDs(uid, gid int, groups []int, keepGroups bool) error {
	if !keepGroups {
		if err := unix.Setgroups(groups); err != nil {
			return os.NewSyscallError("setgroups", err)
		}
	}
	// Not unix.Setresgid, which changes all threads of the process.
	if _, _, errno := unix.RawSyscall(sysSetresgid, uintptr(gid), uintptr(gid), uintptr(gid)); errno != 0 {
		return os.NewSyscallError("setresgid", errno)
	}
	if _, _, errno := unix.RawSyscall(sysSetresuid, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
		return os.NewSyscallError("setresuid", errno)
	}
	return nil
}

// KeepOnlySysAdmin takes all capabilities but CAP_SYS_ADMIN from this thread.
func KeepOnlySysAdmin() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	bit := uint32(1) << unix.CAP_SYS_ADMIN
	data := [2]unix.CapUserData{{Effective: bit, Permitted: bit}}
	return os.NewSyscallError("capset", unix.Capset(&header, &data[0]))
}

// Sigset returns the kernel's set of the signals.
func Sigset(signals ...unix.Signal) unix.Sigset_t {
	var set unix.Sigset_t
	bits := uint(unsafe.Sizeof(set.Val[0])) * 8
	for _, sig := range signals {
		n := uint(sig) - 1
		set.Val[n/bits] |= 1 << (n % bits)
	}
	return set
}

// Socketpair returns a close-on-exec pair of SOCK_STREAM, SOCK_SEQPACKET or
// SOCK_DGRAM. The first end, the test's, is non-blocking and known to the poller, so
// that deadlines work on it.
func Socketpair(kind int) (mine, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, nil, errors.Join(os.NewSyscallError("fcntl", err), unix.Close(fds[0]), unix.Close(fds[1]))
	}
	return os.NewFile(uintptr(fds[0]), "comm socket"), os.NewFile(uintptr(fds[1]), "comm socket"), nil
}

// MustClose closes a file to which nothing was written, so that a failure is a bug of
// the test: something else has closed the descriptor.
func MustClose(f *os.File) {
	if err := f.Close(); err != nil {
		panic("testsys: " + err.Error())
	}
}
