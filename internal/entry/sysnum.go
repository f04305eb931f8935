//go:build !386 && !arm

package entry

//lint:file-ignore U1000 entry.h uses these.

import "golang.org/x/sys/unix"

const (
	sysGetuid    = unix.SYS_GETUID
	sysGeteuid   = unix.SYS_GETEUID
	sysGetgid    = unix.SYS_GETGID
	sysGetegid   = unix.SYS_GETEGID
	sysSetresuid = unix.SYS_SETRESUID
	sysSetresgid = unix.SYS_SETRESGID
)
