//go:build 386 || arm

package fusetest

import "golang.org/x/sys/unix"

// On these two the plain calls know ids of 16 bits only.
const (
	sysSetresuid = unix.SYS_SETRESUID32
	sysSetresgid = unix.SYS_SETRESGID32
)
