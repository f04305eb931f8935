package seccomp

import "golang.org/x/sys/unix"

const (
	auditArch   = unix.AUDIT_ARCH_AARCH64
	sysMmap     = unix.SYS_MMAP
	sysSetfsuid = unix.SYS_SETFSUID
	sysSetfsgid = unix.SYS_SETFSGID
)

var (
	runtimeCallsHere list
	lookCallsHere    = list{free: []uintptr{unix.SYS_FSTAT, unix.SYS_FSTATAT, unix.SYS_STATFS, unix.SYS_FSTATFS}}
	tableCallsHere   = list{free: []uintptr{unix.SYS_GETRESUID, unix.SYS_GETRESGID}}
)
