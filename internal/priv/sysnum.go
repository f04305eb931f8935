//go:build !386 && !arm

package priv

import "golang.org/x/sys/unix"

const (
	getresuid = unix.SYS_GETRESUID
	getresgid = unix.SYS_GETRESGID
	setresuid = unix.SYS_SETRESUID
	setresgid = unix.SYS_SETRESGID
	setfsuid  = unix.SYS_SETFSUID
	setfsgid  = unix.SYS_SETFSGID
)
