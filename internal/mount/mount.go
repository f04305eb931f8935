package mount

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fsparam"
	"github.com/go-fusermount/fusermount/internal/mountopts"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/pathfd"
	"github.com/go-fusermount/fusermount/internal/policy"
)

// errNotGranted is for a plan that policy did not make. It cannot happen, and
// must not pass if it does.
var errNotGranted = errors.New("internal error: the plan was not granted")

// MountError is a failed mount. The kernel's own words are added where it said
// more than a number.
type MountError struct {
	Errno   error
	Message string
}

func (e *MountError) Error() string {
	text := "mount failed: " + Strerror(e.Errno)
	if e.Message != "" {
		text += " (" + e.Message + ")"
	}
	return text
}

func (e *MountError) Unwrap() error { return e.Errno }

// Mounted is a fresh mount, pinned: its root, which nobody may look into
// before a daemon serves it.
type Mounted struct {
	fd    int // O_PATH, or what fsmount gave; -1 once released
	place *Place
	entry mtab.Entry // once it is confirmed
}

// Mount mounts by plan over the pinned mountpoint, with the new mount API or,
// where that is absent or forbidden or cannot carry a value, with mount(2).
//
// The device belongs to a file system from the moment one is created with it,
// so the second way may need a new one: d is then replaced.
//
// last is asked right before the mount is attached, and nothing is attached if it
// has an error: what the plan was made from may be long ago, since whoever calls
// this program can stop it.
//
// Signals are held from the moment when the mount is attached.
func Mount(plan policy.Plan, d *Device, at *Mountpoint, last func() error) (*Mounted, error) {
	t, granted := plan.Params()
	if !granted {
		return nil, errNotGranted
	}
	held, err := at.held()
	if err != nil {
		return nil, err
	}
	if held && t.Fits() {
		fd, err := mountByContext(t, d, at, last)
		if err == nil {
			return confirm(&Mounted{fd: fd, place: at.place}, t, at)
		}
		if !wayIsClosed(err, t) {
			return nil, err
		}
		if err := d.renew(); err != nil {
			return nil, err
		}
	}
	if err := mountByCall(t, d, at, last); err != nil {
		return nil, err
	}
	m, err := findNew(t, at)
	if err != nil {
		return nil, err
	}
	return confirm(m, t, at)
}

// held says whether the new mount API may attach here: only over a mount of our
// own namespace can what is mounted be judged and taken back.
func (at *Mountpoint) held() (bool, error) {
	held, err := mtab.Holds(at.fd)
	if errors.Is(err, mtab.ErrOutside) {
		err = &MountError{Errno: unix.EINVAL, Message: err.Error()}
	}
	return held, err
}

// findNew opens what mount(2) just mounted over at, which that call does not
// give: by its name, or where at lies now if it was moved.
//
// What is not found stays. The caller can have unmounted it in this moment, by
// another run of this program; what lies over at then, or at itself, may be
// root's. So nothing is ever taken away by its place.
func findNew(t fsparam.Params, at *Mountpoint) (*Mounted, error) {
	for range maxLooks {
		now, unknown := pathfd.Path(at.fd) // not without /proc
		fd, err := at.place.open()
		if err == nil && isNew(fd, t, now) {
			return &Mounted{fd: fd, place: at.place}, nil
		}
		if unknown != nil {
			continue
		}
		fd, err = openFar(now)
		if err == nil && isNew(fd, t, now) {
			return &Mounted{fd: fd, place: at.place}, nil
		}
	}
	return nil, errors.New("mount failed: the mountpoint was moved meanwhile")
}

// maxLooks bounds how often somebody who moves the mountpoint in the moment of
// looking keeps us at it.
const maxLooks = 10

// isNew says whether fd is the root of a FUSE mount of this owner at the path now;
// that is empty where it is not known. On what it lies is seen later. What is not new
// is closed.
func isNew(fd int, t fsparam.Params, now string) bool {
	e, isRoot, err := mtab.ByFD(fd)
	owner, _ := e.Owner()
	if err != nil || !isRoot || !mountopts.IsFuse(e.Type) || owner != t.UserID || (now != "" && e.Mountpoint != now) {
		_ = unix.Close(fd) // nothing was done with it
		return false
	}
	return true
}

// wayIsClosed says whether an error of the new mount API may come from its
// absence (old kernels), from a seccomp filter or from a security module that
// knows mount(2) alone. EINVAL is also what fsmount says to nosymfollow before
// Linux 5.14, while mount(2) has known it since 5.10.
func wayIsClosed(err error, t fsparam.Params) bool {
	return errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) ||
		errors.Is(err, unix.EINVAL) && t.NoSymfollow
}

// renew opens the device again. What was made with the old one is gone.
func (d *Device) renew() error {
	next, err := openDevice(d.path)
	if err != nil {
		return err
	}
	old := d.fd
	d.fd = next.fd
	return unix.Close(old)
}

// confirm reads back from the kernel what matters most: that the mount is
// there with nosuid and nodev, and lies on what was judged. The kernel attaches
// to whatever is topmost, which may be something that somebody else has mounted
// there since. A mount that is not as it should be is taken away again.
func confirm(m *Mounted, t fsparam.Params, at *Mountpoint) (*Mounted, error) {
	e, _, err := mtab.ByFD(m.fd)
	if errors.Is(err, mtab.ErrNotListed) {
		return nil, m.unseen()
	}
	if err != nil {
		return m, fmt.Errorf("the new mount cannot be read back: %w", err)
	}
	m.entry = e
	if (t.NoSuid && !e.NoSuid) || (t.NoDev && !e.NoDev) {
		return m, errors.New("the kernel did not keep nosuid and nodev")
	}
	direct, err := mtab.MountedOn(e, at.fd)
	if err != nil {
		return m, fmt.Errorf("the mount below the new one cannot be read: %w", err)
	}
	if !direct {
		return m, &MountError{Errno: unix.EBUSY, Message: "something else was mounted there meanwhile"}
	}
	return m, nil
}

// unseen takes a mount back that does not show in the table, and so cannot be
// judged: the caller's root directory may hide it (chroot). It is ours, and fresh.
func (m *Mounted) unseen() error {
	err := errors.New("the new mount cannot be read back: it lies outside of the root directory")
	if failed := detachTop(m.fd); failed != nil {
		err = fmt.Errorf("%w; the mount could not be taken back: %s", err, Strerror(failed))
	}
	_ = unix.Close(m.fd) // it changes nothing about what was done
	return err
}

// Release gives up the hold on the mount, which would keep it busy: from the
// moment when the caller hears of it he may want to unmount it.
func (m *Mounted) Release() error {
	fd := m.fd
	m.fd = -1
	return unix.Close(fd)
}

// Target gives the mount as something to unmount, by the same checks as any
// other. It takes over the descriptor. Without one, after Release or when called
// once more, the mount is looked for at its name in the pinned parent, and then,
// by its id, wherever it lies.
func (m *Mounted) Target() (t *Target, err error) {
	if fd := m.fd; fd >= 0 {
		m.fd = -1
		return newTarget(m.place, fd)
	}
	if m.entry == (mtab.Entry{}) {
		return nil, errors.New("the new mount cannot be read back")
	}
	for range maxLooks {
		if t, err = m.place.targetOf(m.entry); err == nil {
			return t, nil
		}
		t, err = m.again()
		if err == nil || errors.Is(err, mtab.ErrNotListed) {
			return t, err
		}
	}
	return nil, err
}

// Entry is the mount's entry in the kernel's table.
func (m *Mounted) Entry() mtab.Entry { return m.entry }
