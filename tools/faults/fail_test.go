package faults

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// errnos are the errors, those together that the helper takes for the same almost
// everywhere: a call that is refused, or that has no room.
var errnos = [][]unix.Errno{{unix.EPERM, unix.ENOSYS}, {unix.ENOMEM, unix.EMFILE}, {unix.EINTR}}

// alike are calls whose errors the helper does not tell apart, all in package priv
// but the one for signals.
var alike = []string{
	"getpid", "gettid", "getresuid", "getresgid", "setresuid", "setresgid", "setfsuid", "setfsgid", "capget", "capset",
	"prlimit64", "umask", "rt_sigprocmask",
}

// loops are calls that are made over and over, with each signal and each
// capability.
var loops = []string{"rt_sigaction", "prctl"}

// TestFail has each system call of each mode fail, in a run of its own: the helper
// does without it, or says what failed and has done nothing. In whole modes it
// fails with each of the errors; in others, errors that are alike take turns from
// call to call.
func TestFail(t *testing.T) {
	sweep(t, func(m mode, i int, at spot) (faults []fault) {
		for _, errno := range errorsFor(m, i, at) {
			faults = append(faults, fault{name: unix.ErrnoName(errno), does: fusetest.Fail(errno), errno: errno})
		}
		return faults
	})
}

func errorsFor(m mode, i int, at spot) (list []unix.Errno) {
	all := slices.Concat(errnos...)
	switch {
	case at.name == "exit_group": // it does not return
		return nil
	case slices.Contains(loops, at.name), slices.Contains(alike, at.name) && !m.whole:
		return []unix.Errno{all[i%len(all)]}
	case m.whole:
		return all
	}
	for _, group := range errnos {
		list = append(list, group[i%len(group)])
	}
	return list
}
