//go:build !386 && !arm

package fusetest

import "golang.org/x/sys/unix"

const sysGetgroups = unix.SYS_GETGROUPS
