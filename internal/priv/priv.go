// Package priv is the only package that changes credentials: it says who the
// process is, and lends it a capability for one call at a time.
//
// Credentials in Linux belong to threads. Package entry makes the process its
// caller while there is one thread only; the Go runtime's threads come later and
// have the caller's ids, and no capability effective. Everything here but
// RestrictOthers acts on the calling thread alone, by raw system calls. So the
// program runs on its main thread, locked to it, and starts no other goroutine. The
// thread is checked wherever a privilege is at stake.
package priv

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/entry"
)

// Capabilities, as bits of a Set (linux/capability.h).
const (
	DACReadSearch Set = 1 << unix.CAP_DAC_READ_SEARCH
	SetGID        Set = 1 << unix.CAP_SETGID
	SetUID        Set = 1 << unix.CAP_SETUID
	SysAdmin      Set = 1 << unix.CAP_SYS_ADMIN
	SysPtrace     Set = 1 << unix.CAP_SYS_PTRACE

	// Lendable are those that the program raises for one call at a time.
	Lendable Set = entry.Lendable
)

// Set is a set of capabilities.
type Set uint64

// Has says whether s holds all of want.
func (s Set) Has(want Set) bool { return s&want == want }

// State is what one thread's credentials look like.
type State struct {
	RUID, EUID, SUID uint32
	RGID, EGID, SGID uint32
	Effective        Set
	Permitted        Set
	Inheritable      Set
}

// Current reads the calling thread's credentials.
func Current() (State, error) {
	var s State
	var err error
	if s.RUID, s.EUID, s.SUID, err = ids(getresuid); err != nil {
		return State{}, fmt.Errorf("getresuid: %w", err)
	}
	if s.RGID, s.EGID, s.SGID, err = ids(getresgid); err != nil {
		return State{}, fmt.Errorf("getresgid: %w", err)
	}
	s.Effective, s.Permitted, s.Inheritable, err = capget()
	return s, err
}

// setCaps sets two sets, empties the inheritable one, and reads all three back:
// what does not stand in the kernel afterwards was not done.
func setCaps(effective, permitted Set) error {
	if err := capset(effective, permitted, 0); err != nil {
		return err
	}
	e, p, i, err := capget()
	if err != nil {
		return err
	}
	if e != effective || p != permitted || i != 0 {
		return fmt.Errorf("capset: the kernel kept effective %x permitted %x inheritable %x", e, p, i)
	}
	return nil
}

func capget() (effective, permitted, inheritable Set, err error) { return capgetOf(0) }

// capgetOf reads the sets of a thread. 0 is the calling one.
func capgetOf(tid int) (effective, permitted, inheritable Set, err error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3, Pid: int32(tid)}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return 0, 0, 0, fmt.Errorf("capget: %w", err)
	}
	join := func(lo, hi uint32) Set { return Set(lo) | Set(hi)<<32 }
	return join(data[0].Effective, data[1].Effective),
		join(data[0].Permitted, data[1].Permitted),
		join(data[0].Inheritable, data[1].Inheritable), nil
}

func capset(effective, permitted, inheritable Set) error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{
		{Effective: uint32(effective), Permitted: uint32(permitted), Inheritable: uint32(inheritable)},
		{Effective: uint32(effective >> 32), Permitted: uint32(permitted >> 32), Inheritable: uint32(inheritable >> 32)},
	}
	if err := unix.Capset(&hdr, &data[0]); err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	return nil
}
