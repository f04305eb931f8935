package entry

import "golang.org/x/sys/unix"

// The addresses of what handlers.h has; 0 on an architecture that lacks it.
var disarmPC, sigreturnPC uintptr

// capsLeft is what the handler disarm leaves.
//
//lint:ignore U1000 handlers.h uses it.
var capsLeft [2]unix.CapUserData

// Disarm gives the address of a signal handler that takes all capabilities but left from
// its thread, and whether there is one on this architecture.
func Disarm(left uint64) (handler uintptr, ok bool) {
	capsLeft = [2]unix.CapUserData{{Permitted: uint32(left)}, {Permitted: uint32(left >> 32)}}
	return disarmPC, disarmPC != 0
}

// Sigreturn is what a handler returns to, for sa_restorer of rt_sigaction(2); 0 where it is
// not needed.
func Sigreturn() uintptr { return sigreturnPC }
