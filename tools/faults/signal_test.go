package faults

import (
	"testing"

	"golang.org/x/sys/unix"
)

// ending are the signals by which people and service managers end a program.
var ending = []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGTERM, unix.SIGALRM}

// TestSignal sends the helper a signal before each of its system calls: it ends, and
// everything is as it was before, or it goes on as if nothing had happened.
func TestSignal(t *testing.T) {
	sweep(t, func(_ mode, i int, at spot) []fault {
		sig := ending[i%len(ending)]
		faults := []fault{{name: sig.String(), signal: sig}}
		if at.child {
			faults = append(faults, fault{name: sig.String() + " to the parent", signal: sig, parent: true})
		}
		return faults
	})
}
