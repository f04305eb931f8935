package mount

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mountopts"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/pathfd"
	"github.com/go-fusermount/fusermount/internal/policy"
	"github.com/go-fusermount/fusermount/internal/signals"
)

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

// Target is the topmost mount at a place, pinned and read from the kernel's table. Only
// Dead asks the daemon that serves it.
type Target struct {
	place  *Place
	fd     int        // O_PATH; -1 once closed
	Entry  mtab.Entry // of the mount, in the kernel's table
	IsRoot bool       // the target is the root of that mount
}

// Path is the canonical path, for messages only.
func (t *Target) Path() string { return t.place.Path }

// Target pins what is mounted at p.
func (p *Place) Target() (*Target, error) {
	fd, err := p.open()
	if err != nil {
		return nil, &AccessError{Path: p.Path, Errno: err}
	}
	return newTarget(p, fd)
}

// newTarget owns fd, also when it fails.
func newTarget(p *Place, fd int) (*Target, error) {
	t := &Target{place: p, fd: fd}
	var err error
	if t.Entry, t.IsRoot, err = mtab.ByFD(fd); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return t, nil
}

// ErrCovered says that a mount is not topmost where it lies.
var ErrCovered = fmt.Errorf("something else is mounted on top: %w", unix.EBUSY)

// Again pins a mount that was seen before, wherever it lies now. The error is mtab.ErrNotListed if
// it was unmounted; nothing was opened then, since that might mount something (autofs).
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

// Again pins a mount that was seen before at p, if it is still there. The errors are those of the
// function Again.
func (p *Place) Again(was mtab.Entry) (*Target, error) {
	if _, err := mtab.Reload(was); err != nil {
		return nil, err
	}
	return p.targetOf(was)
}

// targetOf pins what is mounted at p, if it is this mount.
func (p *Place) targetOf(e mtab.Entry) (*Target, error) {
	t, err := p.Target()
	if errors.Is(err, mtab.ErrNotListed) { // what was on top has just gone
		return nil, ErrCovered
	}
	if err != nil {
		return nil, err
	}
	now := t.Entry
	if now.Unique != e.Unique { // one of the two was read when statmount failed
		if now, err = mtab.ByFDAs(t.fd, e); err != nil {
			return nil, errors.Join(err, t.Close())
		}
	}
	if !t.IsRoot || !mtab.Same(now, e) {
		return nil, errors.Join(ErrCovered, t.Close())
	}
	return t, nil
}

// Close gives the target up.
func (t *Target) Close() error {
	if t.fd < 0 {
		return nil
	}
	fd := t.fd
	t.fd = -1
	return unix.Close(fd)
}

// Names gives the mount's type and source, for the log.
func (t *Target) Names() (fstype, source string) {
	if t.Entry.Source == "" { // statmount tells neither source nor subtype before Linux 6.13
		if e, err := mtab.ByFDAs(t.fd, mtab.Entry{}); err == nil {
			return e.Type, e.Source
		}
	}
	return t.Entry.Type, t.Entry.Source
}

// Near is the mountpoint of the user's FUSE mount in which t lies, or to which t, a link, leads. It
// is empty where t is the root of a mount, or there is none.
func (t *Target) Near(c policy.Caller) string {
	if t.IsRoot {
		return ""
	}
	e := t.Entry
	if !mountopts.IsFuse(e.Type) {
		fd, err := pathfd.Open(t.place.parent, t.place.name, 0)
		if err != nil {
			return ""
		}
		defer unix.Close(fd)
		isRoot := false
		if e, isRoot, err = mtab.ByFD(fd); err != nil || !isRoot || !mountopts.IsFuse(e.Type) {
			return ""
		}
	}
	if owner, known := e.Owner(); !c.Root() && (!known || owner != c.UID) {
		return ""
	}
	return e.Mountpoint
}

// Dead asks the daemon, and waits for it as long as it hangs: only the mount's owner,
// with all ids, is told that it is gone.
func (t *Target) Dead() bool {
	const maxQuestions = 100 // a daemon may answer for ever that it was interrupted
	var st unix.Statx_t
	failed := false
	for range maxQuestions {
		err := unix.Statx(t.fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_FORCE_SYNC, unix.STATX_BASIC_STATS, &st)
		if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // an old kernel, or a seccomp filter
			err = unix.Fstatfs(t.fd, new(unix.Statfs_t))
		}
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ECONNABORTED):
			// ECONNABORTED: the connection ended while this question was under way.
		case errors.Is(err, unix.ENOTCONN):
			return true
		case err == nil, failed:
			return false
		default:
			failed = true // the daemon's answer, or the kernel's for want of memory
		}
	}
	return false
}

// Underlying gives the mounts on whose roots t lies, the next one first: they would
// come to light at the same name if t and those above them were gone. One that cannot be
// seen from here ends the list, as an empty entry.
func (t *Target) Underlying() (stack []mtab.Entry, err error) {
	const maxStack = 16 // a user can make it high
	for e := t.Entry; ; {
		direct, err := mtab.MountedOn(e, t.place.parent)
		if err != nil || direct {
			return stack, err
		}
		if e, err = mtab.ByID(e.Parent, e.Unique); err != nil || len(stack) == maxStack {
			return append(stack, mtab.Entry{}), nil
		}
		stack = append(stack, e)
	}
}

// Unmount unmounts t by plan.
//
// A lazy unmount goes through the pinned descriptor, so it hits the judged mount and no
// other. Otherwise the descriptor itself would keep the mount busy: then the name in the
// pinned parent is used, verified once more right before, and only where all mounts below
// are the caller's. A mountpoint cannot be renamed in its own namespace; SECURITY.md says
// what its owner can do in another one.
//
// Signals are held once t is gone.
func (t *Target) Unmount(plan policy.UnmountPlan) error {
	id, lazy, granted := plan.Terms()
	if !granted || id != t.Entry.ID {
		return errNotGranted
	}
	if err := t.unmount(lazy); err != nil {
		return &UnmountError{Path: t.place.Path, Mount: t.Entry, Errno: err}
	}
	return nil
}

func (t *Target) unmount(lazy bool) error {
	flags := 0
	if lazy {
		err := t.detach()
		if !errors.Is(err, unix.ENOENT) {
			_ = t.Close() // it changes nothing about what was done
			return err
		}
		flags = unix.MNT_DETACH // by the name: there is no /proc
	}
	if err := t.Close(); err != nil {
		return err
	}
	if err := t.place.lookUp(func() error { return unix.Fchdir(t.place.parent) }); err != nil {
		return err
	}
	// Look once more at what lies at the name.
	again, err := t.place.targetOf(t.Entry)
	switch {
	case errors.Is(err, ErrCovered):
		return unix.EINVAL
	case err != nil:
		return err
	case again.Entry.Parent != t.Entry.Parent:
		return errors.Join(unix.EINVAL, again.Close())
	}
	if err := again.Close(); err != nil {
		return err
	}
	umount := func() error { return umountName(t.place.name, flags) }
	if !t.place.mayAsk() {
		return holdOnSuccess(umount)
	}
	// A signal that ends the process right after this leaves the mount's line in a table.
	err = signals.Through(umount)
	if err == nil {
		_ = signals.Hold() // the mount is gone, held or not
	}
	return err
}

// detach detaches the mount by its descriptor. The kernel takes what lies on top of it, so
// nothing may; what comes there at this very moment goes in its place, and the error is
// ErrCovered. Where the table does not tell (listmount is forbidden), it was topmost when it
// was pinned.
func (t *Target) detach() error {
	if covered, err := mtab.Covered(t.Entry); err == nil && covered {
		return ErrCovered
	}
	if err := holdOnSuccess(func() error { return detachTop(t.fd) }); err != nil {
		return err
	}
	if _, gone := mtab.Reload(t.Entry); gone == nil {
		return ErrCovered
	}
	return nil
}

// Record is what the tables of user space keep of the mount.
func (t *Target) Record() (mtab.Record, error) { return record(t.fd, t.place, t.Entry) }

// record describes the mount with root fd as the tables do, without what only its plan tells.
func record(fd int, place *Place, e mtab.Entry) (mtab.Record, error) {
	id, err := mtab.OldID(fd)
	if err != nil {
		return mtab.Record{}, err
	}
	if e.Source == "" { // see Names
		if e, err = mtab.ByOldID(id); err != nil {
			return mtab.Record{}, err
		}
	}
	target := e.Mountpoint
	if target == "" {
		target = place.Path
	}
	return mtab.Record{ID: id, Source: e.Source, Target: target, Type: e.Type, Options: e.SuperOptions}, nil
}
