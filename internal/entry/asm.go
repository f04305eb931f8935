package entry

//lint:file-ignore U1000 entry.h and handlers.h use these.

import "golang.org/x/sys/unix"

// Written by the entry point. The names are its own, so a change here is one there.
var (
	ran        uintptr
	noNewPrivs uintptr
	results    [steps]uintptr
	capsBefore [2]unix.CapUserData
	capsAfter  [2]unix.CapUserData
	limit      unix.Rlimit
)

// From the auxiliary vector. Without it, the process counts as set-id, and keeps ids that
// package priv refuses.
var (
	secure               uintptr = 1
	uid, gid, euid, egid uintptr = noID, noID, noID, noID
)

const noID = ^uintptr(0) // leaves an id as it is, in setresuid(2)

// Read by the entry point.
var (
	capHeader = unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	capsNone  [2]unix.CapUserData
	unlimited = unix.Rlimit{Cur: ^uint64(0), Max: ^uint64(0)}
	streams   = unix.Rlimit{Cur: 3} // Max is the entry point's to set
)

// The steps that must not fail, as indexes of results.
const (
	stepWasNoNewPrivs = iota
	stepCapget
	stepKeepCaps
	stepSetresgid
	stepSetresuid
	stepKeepCapsOff
	stepCapset
	stepNoNewPrivs
	stepDumpable
	steps
)

// Constants for the assembler, which sees those of this package only.
const (
	lendable        = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID
	permittedOffset = 4 // of Permitted in unix.CapUserData

	// Of getauxval(3). The kernel tells them at each exec, and no filter can change them.
	atUID    = 11
	atEUID   = 12
	atGID    = 13
	atEGID   = 14
	atSecure = 23

	letterG    = 'G'
	letterO    = 'O'
	underscore = '_'

	prSetKeepCaps   = unix.PR_SET_KEEPCAPS
	prSetNoNewPrivs = unix.PR_SET_NO_NEW_PRIVS
	prGetNoNewPrivs = unix.PR_GET_NO_NEW_PRIVS
	prSetDumpable   = unix.PR_SET_DUMPABLE

	rlimitFSIZE  = unix.RLIMIT_FSIZE
	rlimitNPROC  = unix.RLIMIT_NPROC
	rlimitAS     = unix.RLIMIT_AS
	rlimitNOFILE = unix.RLIMIT_NOFILE
	rlimitDATA   = unix.RLIMIT_DATA

	sysCapget    = unix.SYS_CAPGET
	sysCapset    = unix.SYS_CAPSET
	sysExitGroup = unix.SYS_EXIT_GROUP
	sysPrctl     = unix.SYS_PRCTL
	sysPrlimit64 = unix.SYS_PRLIMIT64
)

// The addresses of what handlers.h has; 0 on an architecture that lacks it.
var disarmPC, sigreturnPC uintptr

// capsLeft is what the handler disarm leaves.
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
