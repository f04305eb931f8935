package mount

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/policy"
	"github.com/go-fusermount/fusermount/internal/signals"
)

// Target is the topmost mount at a place, pinned and read from the kernel's
// table. Nothing here asks the daemon that serves it.
type Target struct {
	place  *Place
	fd     int // O_PATH; -1 once given up
	entry  mtab.Entry
	isRoot bool
}

// Target pins what is mounted at p.
func (p *Place) Target() (*Target, error) {
	fd, err := p.open()
	if err != nil {
		return nil, &AccessError{Path: p.path, Errno: err}
	}
	return newTarget(p, fd)
}

// ErrCovered says that a mount is not topmost where it lies.
var ErrCovered = errors.New("something else is mounted on top")

// Again pins a mount that was seen before, wherever it lies now. The error is
// mtab.ErrNotListed if it was unmounted, and then nothing was touched: opening
// what lies there now might mount something.
func Again(was mtab.Entry) (*Target, error) {
	now, err := mtab.Reload(was)
	if err != nil {
		return nil, err
	}
	place, err := Resolve(now.Mountpoint)
	if err != nil {
		return nil, err
	}
	return place.targetOf(was)
}

// targetOf pins what is mounted at p, if it is this very mount.
func (p *Place) targetOf(e mtab.Entry) (*Target, error) {
	t, err := p.Target()
	if err != nil {
		return nil, err
	}
	now := t.entry
	if now.Unique != e.Unique { // one of the two was read when statmount failed
		if now, err = mtab.ByFDAs(t.fd, e); err != nil {
			return nil, errors.Join(err, t.Close())
		}
	}
	if !t.isRoot || !mtab.Same(now, e) {
		return nil, errors.Join(ErrCovered, t.Close())
	}
	return t, nil
}

// newTarget owns fd from here on, also when it fails.
func newTarget(p *Place, fd int) (*Target, error) {
	t := &Target{place: p, fd: fd}
	var err error
	if t.entry, t.isRoot, err = mtab.ByFD(fd); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return t, nil
}

// Entry is the mount's entry in the kernel's table, and whether the target is
// the root of it.
func (t *Target) Entry() (e mtab.Entry, isRoot bool) { return t.entry, t.isRoot }

// Names gives the mount's type and source, for the log. Before Linux 6.13 statmount
// tells neither subtype nor source; the text of the table does.
func (t *Target) Names() (fstype, source string) {
	if t.entry.Source == "" {
		if e, err := mtab.ByFDAs(t.fd, mtab.Entry{}); err == nil {
			return e.Type, e.Source
		}
	}
	return t.entry.Type, t.entry.Source
}

// Dead asks the daemon, and waits for it: only the owner of the mount, with all
// of his ids, learns that it is gone. A daemon that lives and hangs makes this
// wait as long as it hangs.
func (t *Target) Dead() bool {
	var st unix.Statx_t
	failed := false
	for range maxQuestions {
		err := unix.Statx(t.fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_FORCE_SYNC, unix.STATX_BASIC_STATS, &st)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ECONNABORTED):
			// A question that was under way when the connection ended is aborted;
			// the next one gets the answer.
		case errors.Is(err, unix.ENOTCONN):
			return true
		case err == nil, failed:
			return false
		default:
			// The answer of a daemon, or the kernel's, which may have no memory at
			// the moment. A daemon that lives fails again, or answers.
			failed = true
		}
	}
	return false
}

// maxQuestions bounds how often a daemon may answer that it was interrupted.
const maxQuestions = 100

// Close gives the target up.
func (t *Target) Close() error {
	if t.fd < 0 {
		return nil
	}
	fd := t.fd
	t.fd = -1
	return unix.Close(fd)
}

// UnmountError is a failed unmount.
type UnmountError struct {
	Path  string
	Mount mtab.Entry
	Errno error
}

func (e *UnmountError) Error() string {
	return "failed to unmount " + e.Path + ": " + Strerror(e.Errno)
}

func (e *UnmountError) Unwrap() error { return e.Errno }

// Below gives the mounts on whose roots t lies, the next one first: they would come
// to light at the same name, one after the other, if t and those above them were
// gone. One that cannot be seen from here ends the list, as an empty entry.
func (t *Target) Below() (stack []mtab.Entry, err error) {
	for e := t.entry; ; {
		direct, err := mtab.MountedOn(e, t.place.parent)
		if err != nil || direct {
			return stack, err
		}
		if e, err = mtab.Parent(e); err != nil || len(stack) == maxStack {
			return append(stack, mtab.Entry{}), nil
		}
		stack = append(stack, e)
	}
}

// maxStack bounds the look at a stack that somebody made high.
const maxStack = 16

// Unmount takes t away by plan.
//
// A lazy unmount goes through the pinned descriptor, so it hits the judged
// mount and no other. The other kind cannot: the descriptor itself would keep
// the mount busy. There the name in the pinned parent has to do, looked at once
// more right before, and only where no mount of somebody else's lies below. A
// mountpoint cannot be renamed in the namespace where it is one; in another its
// owner can, and SECURITY.md says what is left of that.
//
// Signals are held once t is gone.
func (t *Target) Unmount(plan policy.UnmountPlan) error {
	id, lazy, granted := plan.Terms()
	if !granted || id != t.entry.ID {
		return errNotGranted
	}
	if err := t.unmount(lazy); err != nil {
		return &UnmountError{Path: t.place.path, Mount: t.entry, Errno: err}
	}
	return nil
}

func (t *Target) unmount(lazy bool) error {
	flags := 0
	if lazy {
		err := heldIfDone(func() error { return detachTop(t.fd) })
		if !errors.Is(err, unix.ENOENT) {
			_ = t.Close() // it changes nothing about what was done
			return err
		}
		flags = unix.MNT_DETACH // there is no /proc here: by its name, then
	}
	if err := t.Close(); err != nil {
		return err
	}
	if err := t.place.enter(); err != nil {
		return err
	}
	if err := t.stillThere(); err != nil {
		return err
	}
	return t.umountName(flags)
}

// umountName unmounts by the name. Where that asks a daemon, signals are held only
// afterwards: one that comes in between leaves the mount's line in a table.
func (t *Target) umountName(flags int) error {
	umount := func() error { return umountName(t.place.name, flags) }
	if !t.place.isAsking() {
		return heldIfDone(umount)
	}
	err := signals.Through(umount)
	if err == nil {
		_ = signals.Hold() // what was asked for is done, held or not
	}
	return err
}

// stillThere looks once more at what lies at the name.
func (t *Target) stillThere() error {
	again, err := t.place.targetOf(t.entry)
	if errors.Is(err, ErrCovered) {
		return unix.EINVAL
	}
	if err != nil {
		return err
	}
	moved := again.entry.Parent != t.entry.Parent
	if err := again.Close(); err != nil {
		return err
	}
	if moved {
		return unix.EINVAL
	}
	return nil
}

// Path is the canonical path, for messages only.
func (t *Target) Path() string { return t.place.path }

// Record is what the tables of user space keep of the mount.
func (t *Target) Record() (mtab.Record, error) {
	return record(t.fd, t.place, t.entry)
}
