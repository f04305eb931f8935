package mount

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mountopts"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/pathfd"
	"github.com/go-fusermount/fusermount/internal/signals"
)

// Signals are held while a change of the mount table is not complete. Names that are
// looked up meanwhile may be a daemon's to tell, which may hang: there they are let
// through, and a signal leaves a mount without a receiver, as SIGKILL does.

// heldIfDone makes a call that changes the mount table, with signals held. They stay
// held if it succeeds: what belongs to the change is then still to be done.
func heldIfDone(change func() error) error {
	before := signals.Held()
	if err := signals.Hold(); err != nil {
		return err
	}
	err := change()
	if err == nil || before {
		return err
	}
	if failed := signals.Release(); failed != nil {
		err = errors.Join(err, failed)
	}
	return err
}

// isAsking says whether a FUSE daemon is asked for names in the parent, as far as that
// is known.
func (p *Place) isAsking() bool {
	e, _, err := mtab.ByFD(p.parent)
	return err != nil || mountopts.IsFuse(e.Type)
}

// ask makes a call that looks up a name in the parent, or enters it.
func (p *Place) ask(call func() error) error {
	if !signals.Held() || !p.isAsking() {
		return call()
	}
	return signals.Through(call)
}

// open opens what lies at p. Nothing is followed.
func (p *Place) open() (fd int, err error) {
	err = p.ask(func() (err error) {
		fd, err = pathfd.Open(p.parent, p.name, unix.O_NOFOLLOW)
		return err
	})
	return fd, err
}

// enter makes the parent the current directory.
func (p *Place) enter() error {
	return p.ask(func() error { return unix.Fchdir(p.parent) })
}

// openFar opens a path, which may lead through any file system.
func openFar(path string) (fd int, err error) {
	err = signals.Through(func() (err error) {
		fd, err = pathfd.Open(unix.AT_FDCWD, path, unix.O_NOFOLLOW)
		return err
	})
	return fd, err
}

// again finds the mount wherever it lies.
func (m *Mounted) again() (t *Target, err error) {
	err = signals.Through(func() (err error) {
		t, err = Again(m.entry)
		return err
	})
	return t, err
}
