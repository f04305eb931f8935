// Package priv is the only package that changes credentials: it verifies that the
// process is its caller, and raises a capability for one system call at a time.
//
// Credentials in Linux belong to threads. Package entry makes the process its caller
// while it has a single thread, so later ones have the caller's ids and no effective
// capability. All but RestrictOthers acts on the calling thread. So the program runs on
// its main thread and starts no goroutine; every bracket checks that.
package priv

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/entry"
)

// Set is a set of capabilities.
type Set uint64

// Capabilities (linux/capability.h).
const (
	DACReadSearch Set = 1 << unix.CAP_DAC_READ_SEARCH
	SetGID        Set = 1 << unix.CAP_SETGID
	SetUID        Set = 1 << unix.CAP_SETUID
	SysAdmin      Set = 1 << unix.CAP_SYS_ADMIN
	SysPtrace     Set = 1 << unix.CAP_SYS_PTRACE

	// Lendable are those that the program raises for one call at a time.
	Lendable Set = entry.Lendable
)

// State is one thread's credentials.
type State struct {
	RUID, EUID, SUID uint32
	RGID, EGID, SGID uint32

	Effective, Permitted, Inheritable Set
}

// Current reads the calling thread's credentials.
func Current() (s State, err error) {
	if s.RUID, s.EUID, s.SUID, err = ids(entry.Getresuid); err != nil {
		return State{}, fmt.Errorf("getresuid: %w", err)
	}
	if s.RGID, s.EGID, s.SGID, err = ids(entry.Getresgid); err != nil {
		return State{}, fmt.Errorf("getresgid: %w", err)
	}
	s.Effective, s.Permitted, s.Inheritable, err = capget(0)
	return s, err
}

func ids(trap uintptr) (r, e, s uint32, err error) {
	_, _, errno := unix.RawSyscall(trap, uintptr(unsafe.Pointer(&r)), uintptr(unsafe.Pointer(&e)), uintptr(unsafe.Pointer(&s)))
	if errno != 0 {
		return 0, 0, 0, errno
	}
	return r, e, s, nil
}

// real says whether effective and saved ids are the real ones.
func (s State) real() bool {
	return s.EUID == s.RUID && s.SUID == s.RUID && s.EGID == s.RGID && s.SGID == s.RGID
}

// capget reads the sets of a thread; 0 is the calling one.
func capget(tid int) (effective, permitted, inheritable Set, err error) {
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

// fixed says that a sandbox refuses capset to root, who had all these capabilities before: none can
// be dropped, and nothing has to be raised.
var fixed bool

// setCaps sets two sets, empties the inheritable one, and reads all three back.
func setCaps(effective, permitted Set) error {
	if fixed {
		return nil
	}
	if err := capset(effective, permitted, 0); err != nil {
		return err
	}
	e, p, i, err := capget(0)
	if err == nil && (e != effective || p != permitted || i != 0) {
		err = fmt.Errorf("capset: the kernel kept effective %x permitted %x inheritable %x", e, p, i)
	}
	return err
}

// callerCaps stay effective between brackets: root resolves paths as root.
var callerCaps Set

// KeepOnly reduces the permitted set to caps and what is a root caller's own.
func KeepOnly(caps Set) error { return reduce(caps | callerCaps) }

// Shed reduces the permitted set to caps, also for a root caller.
func Shed(caps Set) error {
	callerCaps &= caps
	return reduce(caps)
}

func reduce(caps Set) error {
	_, permitted, _, err := capget(0)
	if err != nil {
		return err
	}
	return setCaps(callerCaps, permitted&caps)
}

// GiveUp empties the permitted set, also for a root caller.
func GiveUp() error {
	callerCaps = 0
	return retry(func() error { return setCaps(0, 0) })
}

// ErrMissing says that a capability is not permitted.
var ErrMissing = errors.New("operation not permitted")

// With raises caps, calls f and drops them again. f is to make one system call. If the
// capabilities cannot be dropped, With panics, which ends the process.
func With(caps Set, f func() error) error {
	if _, err := mainThread(); err != nil {
		return err
	}
	_, permitted, _, err := capget(0)
	if err != nil {
		return err
	}
	if permitted&caps != caps {
		return fmt.Errorf("%w: %w", ErrMissing, unix.EPERM)
	}
	if fixed {
		return f()
	}
	if err := capset(callerCaps|caps, permitted, 0); err != nil {
		return err
	}
	defer func() {
		if err := retry(func() error { return setCaps(callerCaps, permitted) }); err != nil {
			panic(err)
		}
	}()
	return f()
}

// retry repeats a step that drops a privilege: the kernel may lack memory only for a
// moment, and what the privilege was used for must not be left half done.
func retry(step func() error) (err error) {
	const attempts = 3
	for range attempts {
		if err = step(); err == nil {
			return nil
		}
	}
	return err
}

// mainThread gives the id of the calling thread, which has to be the main one.
func mainThread() (tid int, err error) {
	pid, tid := unix.Getpid(), unix.Gettid()
	if pid != tid {
		return 0, fmt.Errorf("internal error: on thread %d of process %d", tid, pid)
	}
	return tid, nil
}

// AsFileOwner runs f with uid 0 and gid 0 for file access, and no effective capability:
// the tables that f writes are root's. SetUID and SetGID must be permitted.
func AsFileOwner(f func() error) error {
	now, err := Current()
	if err != nil {
		return err
	}
	if now.EUID == 0 && now.EGID == 0 {
		return f()
	}
	err = setFileIDs(0, 0)
	if errors.Is(err, ErrMissing) { // nothing has changed
		return err
	}
	defer func() {
		if err := retry(func() error { return setFileIDs(now.EUID, now.EGID) }); err != nil {
			panic(err)
		}
	}()
	if err != nil { // one of the two may have changed
		return err
	}
	return f()
}

// setFileIDs changes the ids of file access. The kernel then raises file capabilities,
// which the end of the bracket drops, and resets the dumpable flag to fs.suid_dumpable.
// Until the flag is cleared again, the permitted capabilities prevent tracing.
func setFileIDs(uid, gid uint32) error {
	err := With(SetUID|SetGID, func() error {
		if err := setFSID(entry.Setfsgid, gid); err != nil {
			return fmt.Errorf("setfsgid: %w", err)
		}
		if err := setFSID(entry.Setfsuid, uid); err != nil {
			return fmt.Errorf("setfsuid: %w", err)
		}
		return nil
	})
	if errors.Is(err, ErrMissing) {
		return err
	}
	return errors.Join(err, notDumpable.set())
}

// setFSID sets the uid or gid of file access, and reads it back: the call itself
// reports no failure.
func setFSID(trap uintptr, id uint32) error {
	unix.RawSyscall(trap, uintptr(id), 0, 0)
	const invalid = ^uintptr(0) // changes nothing
	if now, _, _ := unix.RawSyscall(trap, invalid, 0, 0); uint32(now) != id {
		return unix.EPERM
	}
	return nil
}

// flag is a flag of the process that prctl(2) sets and gets.
type flag struct {
	name     string
	put, get int
	value    uintptr
}

var (
	noNewPrivs = flag{"NO_NEW_PRIVS", unix.PR_SET_NO_NEW_PRIVS, unix.PR_GET_NO_NEW_PRIVS, 1}
	// notDumpable keeps the caller from tracing the process and from reading its memory.
	notDumpable = flag{"DUMPABLE", unix.PR_SET_DUMPABLE, unix.PR_GET_DUMPABLE, 0}
)

// set sets the flag, and verifies it.
func (f flag) set() error {
	if _, err := prctl(f.put, f.value); err != nil {
		return fmt.Errorf("prctl PR_SET_%s: %w", f.name, err)
	}
	return f.verify()
}

func (f flag) verify() error {
	if got, err := prctl(f.get, 0); err != nil || got != f.value {
		return fmt.Errorf("prctl PR_SET_%s did not hold", f.name)
	}
	return nil
}

func prctl(option int, arg uintptr) (uintptr, error) {
	got, _, errno := unix.RawSyscall6(unix.SYS_PRCTL, uintptr(option), arg, 0, 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return got, nil
}
