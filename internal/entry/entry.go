// Package entry makes a set-id process its caller before the Go runtime starts.
//
// Credentials in Linux belong to threads, and the runtime has started some before the first
// line of Go runs. So a program that links this package's entry point
//
//	go build -ldflags '-E fusermount_entry'
//
// begins with the code in entry.h, on its only thread. If the kernel gave the process more
// privileges than its caller has (AT_SECURE), that code
//
//   - renames environment variables that begin with GO, so that the caller cannot control
//     the runtime;
//   - raises the resource limits by which the caller could stop the program half way;
//   - sets all user and group ids to the real ones;
//   - for a caller who is not root, leaves no capability effective, permits none but
//     Lendable, sets no_new_privs, and makes the process undumpable.
//
// Every later thread inherits that. Package priv reads everything back from the kernel.
package entry

import "syscall"

// Lendable are the capabilities that stay permitted, as a bit mask.
const Lendable = lendable

// Ran says whether the process began at this package's entry point.
func Ran() bool { return ran != 0 }

// Start is how a set-id process was when it started.
type Start struct {
	EUID       uint32
	NoNewPrivs bool
	Permitted  uint64
}

// AtStart tells how the process was when it started. If it is not ok, nothing has changed
// since: the entry point did not run, or the process is not set-id.
func AtStart() (s Start, ok bool) {
	return Start{
		EUID:       uint32(euid),
		NoNewPrivs: noNewPrivs == 1,
		Permitted:  uint64(capsBefore[0].Permitted) | uint64(capsBefore[1].Permitted)<<32,
	}, Ran() && secure != 0
}

// Error is a step that failed.
type Error struct {
	Step  string // the name of the system call
	Errno syscall.Errno
}

func (e *Error) Error() string { return e.Step + ": " + e.Errno.Error() }

func (e *Error) Unwrap() error { return e.Errno }

// Err is an *Error if a step failed. No capability is effective then.
func Err() error {
	for step, result := range results {
		if errno := -int(result); errno > 0 {
			return &Error{stepNames[step], syscall.Errno(errno)}
		}
	}
	return nil
}

var stepNames = [steps]string{
	"prctl PR_GET_NO_NEW_PRIVS", "capget", "prctl PR_SET_KEEPCAPS", "setresgid", "setresuid", "prctl PR_SET_KEEPCAPS", "capset",
	"prctl PR_SET_NO_NEW_PRIVS", "prctl PR_SET_DUMPABLE",
}
