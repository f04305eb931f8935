//go:build 386 || arm

package entry

//lint:file-ignore U1000 entry.h uses these.

import "golang.org/x/sys/unix"

// The plain calls of these two know ids of 16 bits only.
const (
	sysGeteuid   = unix.SYS_GETEUID32
	sysSetresuid = unix.SYS_SETRESUID32
	sysSetresgid = unix.SYS_SETRESGID32
)
