//go:build !386 && !arm

package testsys

import (
	"golang.org/x/sys/unix"
)

const (
	sysGetuid    = unix.SYS_GETUID
	sysGeteuid   = unix.SYS_GETEUID
	sysGetgid    = unix.SYS_GETGID
	sysGetegid   = unix.SYS_GETEGID
	sysGetresuid = unix.SYS_GETRESUID
	sysGetresgid = unix.SYS_GETRESGID
	sysSetresuid = unix.SYS_SETRESUID
	sysSetresgid = unix.SYS_SETRESGID
	sysSetfsuid  = unix.SYS_SETFSUID
	sysSetfsgid  = unix.SYS_SETFSGID
	sysGetgroups = unix.SYS_GETGROUPS
	sysMmap      = unix.SYS_MMAP
)
