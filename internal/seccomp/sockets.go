//go:build amd64 || arm64

package seccomp

import "golang.org/x/sys/unix"

// socketCalls: the caller's socket, and the one of the log.
var socketCalls = list{
	free: []uintptr{unix.SYS_SENDMSG, unix.SYS_SENDTO, unix.SYS_RECVFROM, unix.SYS_GETSOCKOPT},
	when: []rule{{nr: unix.SYS_SOCKET, mask: all, value: unix.AF_UNIX}},
}
