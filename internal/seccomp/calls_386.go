package seccomp

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_I386
	sysMmap   = unix.SYS_MMAP2
)

var (
	runtimeCallsHere = list{free: []uintptr{
		unix.SYS_FCNTL64, unix.SYS_MODIFY_LDT, unix.SYS_SET_THREAD_AREA, unix.SYS_FUTEX_TIME64, unix.SYS_CLOCK_GETTIME64,
		unix.SYS_SIGRETURN,
	}}
	lookCallsHere = list{free: []uintptr{
		unix.SYS_FSTAT64, unix.SYS_LSTAT64, unix.SYS_STAT64, unix.SYS_FSTATAT64, unix.SYS_STATFS64, unix.SYS_FSTATFS64,
		unix.SYS_POLL,
	}}
	// One call stands for all of sockets, and its arguments lie in memory.
	socketCalls    = list{free: []uintptr{unix.SYS_SOCKETCALL}}
	tableCallsHere = list{free: []uintptr{unix.SYS_GETRESUID32, unix.SYS_GETRESGID32, unix.SYS_UNLINK, unix.SYS_RENAME}}
)
