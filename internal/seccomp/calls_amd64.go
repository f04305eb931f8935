package seccomp

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_X86_64
	sysMmap   = unix.SYS_MMAP
)

var (
	runtimeCallsHere = list{free: []uintptr{unix.SYS_ARCH_PRCTL}}
	lookCallsHere    = list{free: []uintptr{
		unix.SYS_FSTAT, unix.SYS_LSTAT, unix.SYS_STAT, unix.SYS_NEWFSTATAT, unix.SYS_STATFS, unix.SYS_FSTATFS, unix.SYS_POLL,
	}}
	tableCallsHere = list{free: []uintptr{unix.SYS_GETRESUID, unix.SYS_GETRESGID, unix.SYS_UNLINK, unix.SYS_RENAME}}
	// For the caller's socket, and the one of the log.
	socketCalls = list{
		free: []uintptr{unix.SYS_SENDMSG, unix.SYS_SENDTO, unix.SYS_RECVFROM, unix.SYS_GETSOCKOPT},
		when: []rule{{nr: unix.SYS_SOCKET, mask: all, value: unix.AF_UNIX}},
	}
)
