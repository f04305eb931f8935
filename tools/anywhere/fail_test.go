package anywhere

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

var errnos = []unix.Errno{unix.EPERM, unix.ENOSYS, unix.EINTR, unix.ENOMEM, unix.EMFILE}

// alike are calls whose errors the helper does not tell apart, all in package priv
// but the two for signals.
var alike = []string{
	"getpid", "gettid", "getresuid", "getresgid", "setresuid", "setresgid", "setfsuid", "setfsgid", "capget", "capset",
	"prlimit64", "umask", "rt_sigprocmask",
}

// loops are calls that are made over and over, with each signal and each
// capability: each fails with another error than the one before.
var loops = []string{"rt_sigaction", "prctl"}

// TestFail has each system call of each mode fail once, in a run of its own: the
// helper does without it, or says what failed and has done nothing.
func TestFail(t *testing.T) {
	sweep(t, func(m mode, i int, at spot) (faults []fault) {
		if at.name == "exit_group" { // it does not return
			return nil
		}
		for n, errno := range errnos {
			if i%len(errnos) == n || !slices.Contains(loops, at.name) && (m.whole || !slices.Contains(alike, at.name)) {
				faults = append(faults, fault{name: unix.ErrnoName(errno), does: fusetest.Fail(errno), errno: errno})
			}
		}
		return faults
	})
}
