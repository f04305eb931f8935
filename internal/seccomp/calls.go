//go:build amd64 || 386 || arm64

package seccomp

import (
	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/entry"
)

// These are the architectures on which the lists were tried. An incomplete list would end
// the program in the middle of its work, so elsewhere there is none.
const supported = true

// runtimeCalls are made by the Go runtime, on any thread and at any time. New memory is
// never executable.
var runtimeCalls = list{
	free: []uintptr{
		// Memory.
		unix.SYS_MUNMAP, unix.SYS_MADVISE, unix.SYS_MINCORE, unix.SYS_BRK,
		// Threads, locks and time.
		unix.SYS_FUTEX, unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_GETTIMEOFDAY,
		unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_TGKILL,
		unix.SYS_RESTART_SYSCALL, unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_GETRANDOM,
		// Signals.
		unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
		// Its poller.
		unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EVENTFD2, unix.SYS_PIPE2,
		unix.SYS_READ, unix.SYS_WRITE, unix.SYS_CLOSE, unix.SYS_FCNTL,
	},
	when: []rule{
		{nr: sysMmap, arg: 2, mask: unix.PROT_EXEC, value: 0},
		{nr: unix.SYS_MPROTECT, arg: 2, mask: unix.PROT_EXEC, value: 0},
		{nr: unix.SYS_CLONE, arg: 0, mask: unix.CLONE_THREAD | newNamespaces, value: unix.CLONE_THREAD},
		{nr: unix.SYS_PRCTL, arg: 0, mask: all, value: unix.PR_SET_VMA},
	},
}

const (
	newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
		unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET
	onlyTmpfile = unix.O_TMPFILE &^ unix.O_DIRECTORY
	makesFiles  = unix.O_CREAT | unix.O_TRUNC | onlyTmpfile
)

var (
	// lookCalls look at files, mounts and credentials, open what exists to read it, and
	// raise and drop what package priv has kept.
	lookCalls = list{
		free: []uintptr{
			unix.SYS_READLINKAT, unix.SYS_GETCWD, unix.SYS_STATX, unix.SYS_FACCESSAT, unix.SYS_FACCESSAT2, unix.SYS_GETDENTS64, unix.SYS_GETXATTR,
			unix.SYS_STATMOUNT, unix.SYS_LISTMOUNT, unix.SYS_NAME_TO_HANDLE_AT,
			unix.SYS_CAPGET, unix.SYS_CAPSET,
		},
		when: []rule{{nr: unix.SYS_OPENAT, arg: 2, mask: unix.O_ACCMODE | makesFiles, value: 0}},
	}
	// openCalls open what exists to write to it: the device, /dev/null.
	openCalls     = list{when: []rule{{nr: unix.SYS_OPENAT, arg: 2, mask: makesFiles, value: 0}}}
	mountCalls    = list{free: []uintptr{unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_MOVE_MOUNT}}
	oldMountCalls = list{free: []uintptr{unix.SYS_MOUNT}}
	unmountCalls  = list{free: []uintptr{unix.SYS_UMOUNT2, unix.SYS_FCHDIR}}
	answerCalls   = list{
		free: []uintptr{unix.SYS_PPOLL, unix.SYS_GETPPID, unix.SYS_WAIT4},
		when: []rule{
			{nr: unix.SYS_CLONE, arg: 0, mask: all, value: unix.CLONE_PIDFD | uint32(unix.SIGCHLD)},
			{nr: unix.SYS_PRCTL, arg: 0, mask: all, value: unix.PR_SET_PDEATHSIG},
			{nr: unix.SYS_KILL, arg: 1, mask: all, value: uint32(unix.SIGKILL)},
		},
	}
	leaveCalls = list{free: []uintptr{
		unix.SYS_SETSID, unix.SYS_GETPPID, unix.SYS_GETPGID, unix.SYS_SETPGID, unix.SYS_CHDIR, unix.SYS_SECCOMP,
	}}
	watchCalls = list{free: []uintptr{unix.SYS_PPOLL, unix.SYS_DUP3}}
)

// tableCalls write tables, as root and as the caller.
func tableCalls(uid, gid uint32) list {
	const ask = all // an invalid id asks for the current one
	return list{
		free: []uintptr{
			unix.SYS_OPENAT, unix.SYS_FLOCK, unix.SYS_FSYNC, unix.SYS_UNLINKAT, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2,
		},
		when: []rule{
			{nr: entry.Setfsuid, mask: all, value: 0},
			{nr: entry.Setfsuid, mask: all, value: uid},
			{nr: entry.Setfsuid, mask: all, value: ask},
			{nr: entry.Setfsgid, mask: all, value: 0},
			{nr: entry.Setfsgid, mask: all, value: gid},
			{nr: entry.Setfsgid, mask: all, value: ask},
			// The kernel resets the flag with the ids.
			{nr: unix.SYS_PRCTL, mask: all, value: unix.PR_SET_DUMPABLE},
			{nr: unix.SYS_PRCTL, mask: all, value: unix.PR_GET_DUMPABLE},
		},
	}
}

// filterFor allows what tasks need that are done for a caller.
func filterFor(tasks Task, uid, gid uint32) (f filter) {
	f.add(runtimeCalls)
	f.add(runtimeCallsHere)
	f.add(libraryCalls)
	for _, t := range []struct {
		task  Task
		calls []list
	}{
		{Mount | Unmount, []list{lookCalls, lookCallsHere, socketCalls, unmountCalls}},
		{Mount | Leave, []list{openCalls}},
		{Mount, []list{mountCalls}},
		{OldMount, []list{oldMountCalls}},
		{Answer, []list{answerCalls}},
		{Leave, []list{leaveCalls}},
		{Watch, []list{watchCalls}},
		{Tables, []list{tableCalls(uid, gid), tableCallsHere}},
	} {
		if tasks&t.task == 0 {
			continue
		}
		for _, l := range t.calls {
			f.add(l)
		}
	}
	return f
}
