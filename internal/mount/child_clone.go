//go:build !s390x

package mount

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// rawClone forks. pidfd is where the kernel writes the child's descriptor.
//
//go:norace
//go:nosplit
func rawClone(flags, pidfd uintptr) (pid, _ uintptr, errno syscall.Errno) {
	return syscall.RawSyscall6(unix.SYS_CLONE, flags, 0, pidfd, 0, 0, 0)
}
