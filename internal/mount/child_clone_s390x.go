package mount

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// rawClone forks. pidfd is where the kernel writes the child's descriptor. The
// first two arguments of clone(2) stand the other way round here.
//
//go:norace
//go:nosplit
func rawClone(flags, pidfd uintptr) (pid, _ uintptr, errno syscall.Errno) {
	return syscall.RawSyscall6(unix.SYS_CLONE, 0, flags, pidfd, 0, 0, 0)
}
