// Package seccomp takes system calls away from the process, for good: once it is known
// what the process has to do, it can do nothing else. It can then execute no program,
// create no file, trace no process and reach no network.
//
// The filter holds for every thread, those of the Go runtime included, so it allows what
// the runtime needs. A call that is not allowed fails with EPERM; it does not end the
// process, which may have mounted something that only it can take back.
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
	Print    Task = 0         // write what is known already
	Mount    Task = 1 << iota // mount by the new mount API, send the device, take the mount back
	OldMount                  // mount by mount(2)
	Unmount                   // find a mount and unmount it
	Tables                    // write the tables of user space
	Answer                    // wait for the caller and for the kernel, as sync-init does
	Leave                     // become a process that watches
	Watch                     // close the streams, and wait for the socket's end
)

// To restricts the process to tasks, for a caller with these ids. Later calls can only
// take away more. It needs no_new_privs.
//
// Where the kernel has no filters, or a sandbox around us refuses them, the process goes
// on without: the caller would gain nothing by causing that, since no filter of theirs
// survives the exec of a set-id program, and everybody in such a sandbox would lose the
// program. Any other failure is an error.
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
