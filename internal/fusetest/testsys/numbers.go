package testsys

import (
	"cmp"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// syscallNumbers are the calls that the helper makes, and those that tests deny, by
// names that every architecture has.
var syscallNumbers = map[string]uintptr{
	"fsopen": unix.SYS_FSOPEN, "fsconfig": unix.SYS_FSCONFIG, "fsmount": unix.SYS_FSMOUNT,
	"move_mount": unix.SYS_MOVE_MOUNT, "open_tree": unix.SYS_OPEN_TREE,
	"mount": unix.SYS_MOUNT, "umount2": unix.SYS_UMOUNT2,
	"statmount": unix.SYS_STATMOUNT, "listmount": unix.SYS_LISTMOUNT,
	"openat": unix.SYS_OPENAT, "openat2": unix.SYS_OPENAT2, "statx": unix.SYS_STATX,
	"fstat": unix.SYS_FSTAT, "statfs": unix.SYS_STATFS, "fstatfs": unix.SYS_FSTATFS,
	"readlinkat": unix.SYS_READLINKAT, "faccessat": unix.SYS_FACCESSAT, "faccessat2": unix.SYS_FACCESSAT2,
	"name_to_handle_at": unix.SYS_NAME_TO_HANDLE_AT, "getdents64": unix.SYS_GETDENTS64,
	"read": unix.SYS_READ, "pread64": unix.SYS_PREAD64, "write": unix.SYS_WRITE, "fsync": unix.SYS_FSYNC,
	"close": unix.SYS_CLOSE, "close_range": unix.SYS_CLOSE_RANGE, "dup3": unix.SYS_DUP3, "fcntl": unix.SYS_FCNTL,
	"flock": unix.SYS_FLOCK, "ioctl": unix.SYS_IOCTL, "ppoll": unix.SYS_PPOLL,
	"unlinkat": unix.SYS_UNLINKAT, "renameat2": unix.SYS_RENAMEAT2, "fchdir": unix.SYS_FCHDIR, "chdir": unix.SYS_CHDIR,
	"socket": unix.SYS_SOCKET, "getsockopt": unix.SYS_GETSOCKOPT, "getpeername": unix.SYS_GETPEERNAME, "sendmsg": unix.SYS_SENDMSG,
	"recvmsg": unix.SYS_RECVMSG, "sendto": unix.SYS_SENDTO, "recvfrom": unix.SYS_RECVFROM,
	"getpid": unix.SYS_GETPID, "gettid": unix.SYS_GETTID, "setsid": unix.SYS_SETSID,
	"getuid": sysGetuid, "geteuid": sysGeteuid, "getgid": sysGetgid, "getegid": sysGetegid,
	"getresuid": sysGetresuid, "getresgid": sysGetresgid, "setresuid": sysSetresuid, "setresgid": sysSetresgid,
	"setfsuid": sysSetfsuid, "setfsgid": sysSetfsgid, "capget": unix.SYS_CAPGET, "capset": unix.SYS_CAPSET,
	"prctl": unix.SYS_PRCTL, "prlimit64": unix.SYS_PRLIMIT64, "umask": unix.SYS_UMASK, "seccomp": unix.SYS_SECCOMP,
	"rt_sigaction": unix.SYS_RT_SIGACTION, "rt_sigprocmask": unix.SYS_RT_SIGPROCMASK,
	"nanosleep": unix.SYS_NANOSLEEP, "clock_gettime": unix.SYS_CLOCK_GETTIME,
	"execve": unix.SYS_EXECVE, "exit_group": unix.SYS_EXIT_GROUP, "clone": unix.SYS_CLONE,
	"getppid": unix.SYS_GETPPID, "kill": unix.SYS_KILL, "wait4": unix.SYS_WAIT4,
	"sched_getaffinity": unix.SYS_SCHED_GETAFFINITY, "getrandom": unix.SYS_GETRANDOM,
	"getgroups": sysGetgroups, "mmap": sysMmap,
}

// syscallNames also has the calls of this architecture alone.
var syscallNames = func() map[uintptr]string {
	names := map[uintptr]string{}
	for name, nr := range syscallNumbers {
		names[nr] = name
	}
	for name, nr := range oldSyscalls {
		names[nr] = name
	}
	return names
}()

// SyscallNumber returns the number of a call on this architecture; false for a
// name that the package does not know.
func SyscallNumber(name string) (uintptr, bool) {
	nr, ok := syscallNumbers[name]
	if !ok {
		nr, ok = oldSyscalls[name]
	}
	return nr, ok
}

// socketcalls are the calls that 386 makes by way of socketcall(2), by its first
// argument (linux/net.h).
var socketcalls = map[uint64]string{
	1: "socket", 3: "connect", 7: "getpeername", 11: "sendto", 12: "recvfrom", 15: "getsockopt", 16: "sendmsg", 17: "recvmsg",
}

const socketcallNr = 102

// NameOfCall is SyscallName for a call of which the first argument is known.
func NameOfCall(nr uintptr, argument uint64) string {
	if runtime.GOARCH == "386" && nr == socketcallNr {
		return cmp.Or(socketcalls[argument], SyscallName(nr))
	}
	return SyscallName(nr)
}

// SyscallName returns the name of a call, or its number for one that the
// package does not know.
func SyscallName(nr uintptr) string {
	if name, ok := syscallNames[nr]; ok {
		return name
	}
	return fmt.Sprintf("syscall %d", nr)
}
