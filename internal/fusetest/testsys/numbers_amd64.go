package testsys

import (
	"golang.org/x/sys/unix"
)

// oldSyscalls are calls that not every architecture has.
var oldSyscalls = map[string]uintptr{
	"poll": unix.SYS_POLL, "renameat": unix.SYS_RENAMEAT, "rename": unix.SYS_RENAME, "arch_prctl": unix.SYS_ARCH_PRCTL, "newfstatat": unix.SYS_NEWFSTATAT,
	"epoll_wait": unix.SYS_EPOLL_WAIT, "open": unix.SYS_OPEN, "stat": unix.SYS_STAT, "lstat": unix.SYS_LSTAT, "readlink": unix.SYS_READLINK,
}
