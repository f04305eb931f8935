//go:build 386 || arm

package entry

//lint:file-ignore U1000 entry.h uses these.

import "golang.org/x/sys/unix"

// The plain calls of these two know ids of 16 bits only.
const (
	sysGeteuid   = unix.SYS_GETEUID32
	sysSetresuid = unix.SYS_SETRESUID32
	sysSetresgid = unix.SYS_SETRESGID32

	// Numbers of calls that take ids of 32 bits.
	Getresuid, Getresgid = unix.SYS_GETRESUID32, unix.SYS_GETRESGID32
	Setresuid, Setresgid = unix.SYS_SETRESUID32, unix.SYS_SETRESGID32
	Setgroups            = unix.SYS_SETGROUPS32
	Setfsuid, Setfsgid   = unix.SYS_SETFSUID32, unix.SYS_SETFSGID32
)
