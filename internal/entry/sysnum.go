//go:build !386 && !arm

package entry

//lint:file-ignore U1000 entry.h uses these.

import "golang.org/x/sys/unix"

const (
	sysGeteuid   = unix.SYS_GETEUID
	sysSetresuid = unix.SYS_SETRESUID
	sysSetresgid = unix.SYS_SETRESGID

	// Numbers of calls that take ids of 32 bits.
	Getresuid, Getresgid = unix.SYS_GETRESUID, unix.SYS_GETRESGID
	Setresuid, Setresgid = unix.SYS_SETRESUID, unix.SYS_SETRESGID
	Setgroups            = unix.SYS_SETGROUPS
	Setfsuid, Setfsgid   = unix.SYS_SETFSUID, unix.SYS_SETFSGID
)
