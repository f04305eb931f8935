package entry

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// The addresses of the handlers in handlers.h; 0 on an architecture that has none.
var (
	notePC, disarmPC uintptr
	sigreturnPC      uintptr // only where the kernel wants to be told
)

// noted is the last signal that the handler note saw.
var noted uintptr

// capsLeft is what the handler disarm leaves.
var capsLeft [2]unix.CapUserData

// Note gives the address of a signal handler that stores the signal's number, and
// whether there is one on this architecture. Noted reads the number, and Forget
// sets it to 0.
func Note() (handler uintptr, ok bool) { return notePC, notePC != 0 }

// Noted is the last signal that Note's handler saw, or 0.
func Noted() unix.Signal { return unix.Signal(atomic.LoadUintptr(&noted)) }

// Forget sets Noted to 0.
func Forget() { atomic.StoreUintptr(&noted, 0) }

// Disarm gives the address of a signal handler that takes all capabilities but left
// from the thread that it runs on, and whether there is one on this architecture.
func Disarm(left uint64) (handler uintptr, ok bool) {
	capsLeft = [2]unix.CapUserData{{Permitted: uint32(left)}, {Permitted: uint32(left >> 32)}}
	return disarmPC, disarmPC != 0
}

// Sigreturn is what a handler returns to, for sa_restorer of rt_sigaction(2); 0 where
// the kernel knows by itself.
func Sigreturn() uintptr { return sigreturnPC }
