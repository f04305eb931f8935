//go:build 386 || arm

package testsys

import (
	"golang.org/x/sys/unix"
)

// The plain calls of these two have ids of 16 bits.
const (
	sysGetuid    = unix.SYS_GETUID32
	sysGeteuid   = unix.SYS_GETEUID32
	sysGetgid    = unix.SYS_GETGID32
	sysGetegid   = unix.SYS_GETEGID32
	sysGetresuid = unix.SYS_GETRESUID32
	sysGetresgid = unix.SYS_GETRESGID32
	sysSetresuid = unix.SYS_SETRESUID32
	sysSetresgid = unix.SYS_SETRESGID32
	sysSetfsuid  = unix.SYS_SETFSUID32
	sysSetfsgid  = unix.SYS_SETFSGID32
	sysGetgroups = unix.SYS_GETGROUPS32
	sysMmap      = unix.SYS_MMAP2
)
