// Package seccomp takes system calls away from the process, for good, by a
// seccomp filter: once it is known what the process has to do, it can do
// nothing else. A flaw in what follows is then worth little: no program can be
// executed, no file created, no process traced, no network reached.
//
// The filter holds for every thread, those of the Go runtime included, which
// never gave their privileges up. So it allows what the runtime needs, too.
//
// A call that is not allowed fails with EPERM; it does not end the process,
// which may have mounted something that only it can take back.
package seccomp

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Task is what the process still has to do. Tasks add up.
type Task uint

// The tasks.
const (
	// Print: nothing but to write what is known already.
	Print Task = 0
	// Mount: find a mountpoint, mount by the new mount API, send the device,
	// and take the mount away again if that fails.
	Mount Task = 1 << iota
	// OldMount: mount by mount(2).
	OldMount
	// Unmount: find a mount, and take it away.
	Unmount
	// Tables: write the tables of user space.
	Tables
	// Answer: wait for the caller and for the kernel, as sync-init does.
	Answer
	// Leave: become a process that watches.
	Leave
	// Watch: let go of the streams, and wait for the socket's end.
	Watch
)

// To confines the process to tasks, for a caller with these ids. Later calls can
// only take away more. It needs no_new_privs.
//
// Where the kernel has no filters, or a sandbox around us refuses them, the
// process goes on without: the caller would gain nothing by it, since no filter
// of his own survives into a program that gives him rights, and everybody in
// such a sandbox would lose the program. Any other failure is an error.
func To(tasks Task, uid, gid uint32) error {
	if !supported {
		return nil
	}
	var space [maxProgram]unix.SockFilter // on the stack
	f := filterFor(tasks, uid, gid)
	return install(f.program(space[:0]))
}

func install(prog []unix.SockFilter) error {
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	unsynced, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&fprog)))
	runtime.KeepAlive(prog)
	switch errno {
	case 0:
	case unix.ENOSYS, unix.EINVAL, unix.EPERM, unix.EACCES:
		return nil
	default:
		return fmt.Errorf("seccomp: %w", errno)
	}
	if unsynced != 0 {
		return errors.New("seccomp: a thread has another filter")
	}
	return nil
}
