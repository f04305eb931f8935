//go:build 386 || arm

package fusetest

import "golang.org/x/sys/unix"

// On these two the plain calls know ids of 16 bits only.
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
	sysMmap      = unix.SYS_MMAP2
)
