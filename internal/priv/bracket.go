package priv

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ErrMissing says that a capability was never there: the program is not
// installed with the rights that it needs, or something took them away.
var ErrMissing = errors.New("operation not permitted")

// With raises caps, calls f and drops them again. f is to make one system
// call: the shorter the bracket, the less can be done with it.
//
// If the capabilities cannot be dropped again, nothing that follows would be
// safe, and With panics: the process ends at once.
func With(caps Set, f func() error) error {
	if err := onMainThread(); err != nil {
		return err
	}
	_, permitted, _, err := capget()
	if err != nil {
		return err
	}
	if !permitted.Has(caps) {
		return fmt.Errorf("%w: %w", ErrMissing, unix.EPERM)
	}
	if err := capset(own|caps, permitted, 0); err != nil {
		return err
	}
	defer func() {
		if err := insist(func() error { return setCaps(own, permitted) }); err != nil {
			panic(err)
		}
	}()
	return f()
}

// insist takes a step back from a privilege, again if it fails. The kernel may
// lack memory in one moment and have it in the next, and what was done with the
// privilege must not be left half done for that.
func insist(step func() error) (err error) {
	for range attempts {
		if err = step(); err == nil {
			return nil
		}
	}
	return err
}

const attempts = 3

// onMainThread checks that the runtime has not moved us: on any other thread
// we would not be who we think we are.
func onMainThread() error {
	_, err := mainThread()
	return err
}

// mainThread is onMainThread, and gives the thread's id, which is the process's.
func mainThread() (tid int, err error) {
	pid, tid := unix.Getpid(), unix.Gettid()
	if pid != tid {
		return 0, fmt.Errorf("internal error: on thread %d of process %d", tid, pid)
	}
	return tid, nil
}

// KeepOnly takes everything out of the permitted set but caps and what is a
// root caller's own.
func KeepOnly(caps Set) error {
	_, permitted, _, err := capget()
	if err != nil {
		return err
	}
	return setCaps(own, permitted&(caps|own))
}

// Shed takes everything out of the permitted set but caps, a root caller's own
// included.
func Shed(caps Set) error {
	_, permitted, _, err := capget()
	if err != nil {
		return err
	}
	own &= caps
	return setCaps(own, permitted&caps)
}

// GiveUp empties the permitted set, a root caller's own included: after the
// last bracket nothing needs a privilege.
func GiveUp() error {
	own = 0
	return insist(func() error { return setCaps(0, 0) })
}

// AsFileOwner runs f with files accessed as uid 0 and gid 0: the tables that
// f writes are root's, and so are the files it creates. No capability is lent
// meanwhile, so f can do what the owner of these files can do, and
// nothing else. For a caller who is not root it needs SetUID and SetGID to be
// permitted still.
func AsFileOwner(f func() error) error {
	now, err := Current()
	if err != nil {
		return err
	}
	if now.EUID == 0 && now.EGID == 0 {
		return f()
	}
	err = setFileIDs(0, 0)
	if errors.Is(err, ErrMissing) { // then nothing has changed
		return err
	}
	defer func() {
		if err := insist(func() error { return setFileIDs(now.EUID, now.EGID) }); err != nil {
			panic(err)
		}
	}()
	if err != nil { // one of the two may have changed
		return err
	}
	return f()
}

// setFileIDs changes the ids of file access, inside a bracket of its own. The kernel
// raises and drops file capabilities with them, which the end of the bracket undoes,
// and resets the dumpable flag. Until that is undone, the capabilities that are
// permitted keep the caller from tracing the process.
func setFileIDs(uid, gid uint32) error {
	err := With(SetUID|SetGID, func() error {
		if err := setFSID(setfsgid, gid); err != nil {
			return fmt.Errorf("setfsgid: %w", err)
		}
		if err := setFSID(setfsuid, uid); err != nil {
			return fmt.Errorf("setfsuid: %w", err)
		}
		return nil
	})
	if errors.Is(err, ErrMissing) {
		return err
	}
	return errors.Join(err, undumpable())
}
