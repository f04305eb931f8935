//go:build 386 || arm

package priv

import "golang.org/x/sys/unix"

// On these two the plain calls know ids of 16 bits only.
const (
	getresuid = unix.SYS_GETRESUID32
	getresgid = unix.SYS_GETRESGID32
	setresuid = unix.SYS_SETRESUID32
	setresgid = unix.SYS_SETRESGID32
	setfsuid  = unix.SYS_SETFSUID32
	setfsgid  = unix.SYS_SETFSGID32
)
