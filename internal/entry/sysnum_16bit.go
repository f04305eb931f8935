//go:build 386 || arm

package entry

//lint:file-ignore U1000 entry.h uses these.

import "golang.org/x/sys/unix"

// The plain calls of these two know ids of 16 bits only.
const (
	sysGetuid    = unix.SYS_GETUID32
	sysGeteuid   = unix.SYS_GETEUID32
	sysGetgid    = unix.SYS_GETGID32
	sysGetegid   = unix.SYS_GETEGID32
	sysSetresuid = unix.SYS_SETRESUID32
	sysSetresgid = unix.SYS_SETRESGID32
)
