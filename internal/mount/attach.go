package mount

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fsparam"
	"github.com/go-fusermount/fusermount/internal/fusedev"
	"github.com/go-fusermount/fusermount/internal/mountopts"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/pathfd"
	"github.com/go-fusermount/fusermount/internal/policy"
	"github.com/go-fusermount/fusermount/internal/signals"
)

// errNotGranted is for a plan that policy did not make.
var errNotGranted = errors.New("internal error: the plan was not granted")

// MountError is a failed mount. Message is what the kernel said besides the number.
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

// Mounted is a fresh mount, pinned by its root. Nothing may be looked up in it before a
// daemon serves it.
type Mounted struct {
	fd    int // -1 once released
	at    *Mountpoint
	Entry mtab.Entry // in the kernel's table, once it is confirmed
}

// Mount mounts by plan over the pinned mountpoint, by the new mount API or, where that is
// absent or forbidden or cannot carry a value, by mount(2). A device belongs to the first
// file system that is created with it, so mount(2) may need a new one: d is replaced.
//
// last is asked right before the mount is attached; its error prevents that. The plan
// may be old by then, since the caller can stop this process at any time.
//
// Signals are held from the moment when the mount is attached.
func Mount(plan policy.Plan, d *Device, at *Mountpoint, last func() error) (*Mounted, error) {
	t, held, err := at.terms(plan)
	if err != nil {
		return nil, err
	}
	if held && t.Fits() {
		fd, err := mountByContext(t, d, at, last, func(context int) error {
			return contextError(context, fsconfigCreate(context))
		})
		if err == nil {
			return confirm(&Mounted{fd: fd, at: at}, t, at)
		}
		if at.place.foreign || !unsupportedOrDenied(err, t) {
			return nil, err
		}
		next, err := openDevice(d.Path) // what was created with the old one is gone
		if err != nil {
			return nil, err
		}
		d.FD, next.FD = next.FD, d.FD
		if err := unix.Close(next.FD); err != nil {
			return nil, err
		}
	}
	if at.place.foreign { // the mount could not be found again
		return nil, &MountError{Errno: unix.ENAMETOOLONG}
	}
	if err := mountByCall(t, d, at, last); err != nil {
		return nil, err
	}
	m, err := findNew(t, d.FD, at)
	if err != nil {
		return nil, err
	}
	return confirm(m, t, at)
}

// terms are what a granted plan tells the kernel. held says whether the new mount API may
// attach here: only a mount in our own namespace can be judged and taken back.
func (at *Mountpoint) terms(plan policy.Plan) (t fsparam.Params, held bool, err error) {
	t, granted := plan.Params()
	if !granted {
		return t, false, errNotGranted
	}
	held, err = mtab.Holds(at.fd)
	if errors.Is(err, mtab.ErrOutside) {
		err = &MountError{Errno: unix.EINVAL, Message: err.Error()}
	}
	return t, held, err
}

// unsupportedOrDenied says whether an error of the new mount API may come from an old
// kernel, a seccomp filter, or a security module that knows mount(2) only. fsmount
// answers nosymfollow with EINVAL before Linux 5.14; mount(2) knows it since 5.10.
func unsupportedOrDenied(err error, t fsparam.Params) bool {
	return errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) ||
		errors.Is(err, unix.EINVAL) && t.NoSymfollow
}

// mountByContext mounts by fsopen, fsconfig, fsmount and move_mount, and gives the
// descriptor of the mount. create makes the file system that was described in a context.
// Signals are held once it has mounted.
func mountByContext(
	t fsparam.Params, d *Device, at *Mountpoint, last func() error, create func(context int) error,
) (int, error) {
	context, err := d.openContext(t.Driver())
	if err != nil {
		return -1, &MountError{Errno: err}
	}
	defer unix.Close(context)
	if err := t.Configure(context, d.FD); err != nil {
		return -1, contextError(context, err)
	}
	if err := create(context); err != nil {
		return -1, err
	}
	fd, err := fsmount(context, t.Attributes())
	if err != nil {
		return -1, contextError(context, err)
	}
	if err := at.verifyTopmost(last); err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	if err := holdOnSuccess(func() error { return moveMount(fd, at.fd) }); err != nil {
		return -1, &MountError{Errno: errors.Join(err, unix.Close(fd))}
	}
	return fd, nil
}

// contextError is the error of a call on a context with what the kernel said about it, or nil.
func contextError(context int, err error) error {
	if err == nil {
		return nil
	}
	return &MountError{Errno: err, Message: fsparam.Messages(context)}
}

// mountByCall mounts by mount(2). Signals are held once it has mounted.
func mountByCall(t fsparam.Params, d *Device, at *Mountpoint, last func() error) error {
	target := pathfd.Link(at.fd)
	if at.Facts.IsDirectory() { // which needs no /proc
		if err := unix.Fchdir(at.fd); err != nil {
			return &MountError{Errno: err}
		}
		target = "."
	}
	if err := at.verifyTopmost(last); err != nil {
		return err
	}
	err := holdOnSuccess(func() error {
		err := mount(t.Source, target, t.Type(), t.Flags(), t.Data(d.FD))
		if !errors.Is(err, unix.ENODEV) || t.Subtype == "" {
			return err
		}
		// A kernel without subtypes: the subtype goes into the source, unless it is the
		// source already.
		source := t.Source
		if source != t.Subtype {
			source = t.Subtype + "#" + source
		}
		return mount(source, target, t.Driver(), t.Flags(), t.Data(d.FD))
	})
	if err != nil {
		return &MountError{Errno: err}
	}
	return nil
}

// findNew opens what mount(2) just mounted over at: by its name, or where at lies now if
// it was moved. What another call has mounted on top at the same moment is waited for: that
// call fails, and takes it away.
//
// What is not found stays. The caller can have unmounted it by another run of this
// program, and what lies over at by then may be root's. So nothing is unmounted by place.
func findNew(t fsparam.Params, device int, at *Mountpoint) (*Mounted, error) {
	number, known := fusedev.Connection(device)
	isNew := func(fd int, now string) bool {
		e, isRoot, err := mtab.ByFD(fd)
		owner, _ := e.Owner()
		if err == nil && isRoot && mountopts.IsFuse(e.Type) && owner == t.UserID &&
			(now == "" || e.Mountpoint == now) && (!known || e.Connection() == number) {
			return true // confirm verifies on what it lies
		}
		_ = unix.Close(fd) // nothing was done with it
		return false
	}
	look := func() *Mounted {
		now, unknown := pathfd.Path(at.fd) // unknown without /proc
		fd, err := at.place.open()
		if err == nil && isNew(fd, now) {
			return &Mounted{fd: fd, at: at}
		}
		if unknown != nil {
			return nil
		}
		// This path may lead through any file system.
		err = signals.Through(func() (err error) {
			fd, err = pathfd.Open(unix.AT_FDCWD, now, unix.O_NOFOLLOW)
			return err
		})
		if err == nil && isNew(fd, now) {
			return &Mounted{fd: fd, at: at}
		}
		return nil
	}
	var m *Mounted
	for looks := 0; looks < maxLooks && m == nil; looks++ {
		m = look()
	}
	if m == nil && known {
		UntilUncovered(func() bool {
			m = look()
			return m != nil || !at.carries(number)
		})
	}
	if m == nil {
		return nil, errors.New("mount failed: the mountpoint was moved meanwhile, or the mount was taken away")
	}
	return m, nil
}

// carries says whether the file system with this connection is mounted somewhere in the mount in which
// at lies: another call that has taken back its own may have hit this one, which came on top.
func (at *Mountpoint) carries(connection uint32) bool {
	e, _, err := mtab.ByFD(at.fd)
	if err != nil {
		return true
	}
	inside, err := mtab.Descendants(e)
	return err != nil || slices.ContainsFunc(inside, func(e mtab.Entry) bool {
		return mountopts.IsFuse(e.Type) && e.Connection() == connection
	})
}

// UntilUncovered repeats look until it says that it is done, for some seconds: what another
// call has mounted on top of a fresh mount at the same moment is taken away by that call. The
// pauses become longer, so that many waiting calls do not slow down the one they wait for.
func UntilUncovered(look func() (done bool)) {
	const minLooks, patience = 10, 3 * time.Second // time also passes while the caller has stopped this process
	pause, deadline := time.Millisecond, time.Now().Add(patience)
	for looks := 1; !look() && (looks < minLooks || time.Now().Before(deadline)); looks++ {
		length := unix.NsecToTimespec(int64(pause))
		_ = unix.Nanosleep(&length, nil) // a signal may shorten it
		pause = min(2*pause, 16*time.Millisecond)
	}
}

// confirm reads back that the mount is there with nosuid and nodev, and lies on what was
// judged. The kernel attaches to whatever is topmost, which somebody else may have
// mounted meanwhile. A mount that is returned with an error has to be taken back.
func confirm(m *Mounted, t fsparam.Params, at *Mountpoint) (*Mounted, error) {
	e, _, err := mtab.ByFD(m.fd)
	if errors.Is(err, mtab.ErrNotListed) {
		// The caller's root directory may hide it (chroot), so it cannot be judged. It is
		// fresh, and ours to take back.
		err := errors.New("the new mount cannot be read back: it lies outside of the root directory")
		if failed := detachTop(m.fd); failed != nil && !errors.Is(failed, unix.EINVAL) { // EINVAL: it is gone
			err = fmt.Errorf("%w; the mount could not be taken back: %s", err, Strerror(failed))
		}
		_ = unix.Close(m.fd) // it changes nothing about what was done
		return nil, err
	}
	if err != nil {
		return m, fmt.Errorf("the new mount cannot be read back: %w", err)
	}
	m.Entry = e
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

// Release closes the descriptor, which keeps the mount busy: the caller may want to
// unmount it as soon as they know of it.
func (m *Mounted) Release() error {
	fd := m.fd
	m.fd = -1
	return unix.Close(fd)
}

// Target gives the mount as something to unmount, with the same checks as any other. It
// takes over the descriptor. After Release, or in a second call, the mount is looked for
// at its name in the pinned parent, and then, by its id, wherever it lies.
func (m *Mounted) Target() (t *Target, err error) {
	if fd := m.fd; fd >= 0 {
		m.fd = -1
		return newTarget(m.at.place, fd)
	}
	if m.Entry == (mtab.Entry{}) {
		return nil, errors.New("the new mount cannot be read back")
	}
	for range maxLooks {
		if t, err = m.at.place.targetOf(m.Entry); err == nil {
			return t, nil
		}
		err = signals.Through(func() (err error) {
			if m.at.place.foreign {
				t, err = m.again()
			} else {
				t, err = Again(m.Entry)
			}
			return err
		})
		if err == nil || errors.Is(err, mtab.ErrNotListed) {
			return t, err
		}
	}
	return nil, err
}

// again pins the mount where the path of what it lies on is another process's. What is left of that
// path is a parent and a name. The errors are those of Again.
func (m *Mounted) again() (*Target, error) {
	if _, err := mtab.Reload(m.Entry); err != nil {
		return nil, err
	}
	path, err := pathfd.Path(m.at.fd)
	if err != nil {
		return nil, err
	}
	parent, err := pathfd.Open(m.at.fd, "..", unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	_, name := split(path)
	t, err := PlaceOf(parent, name, m.at.place.Path).targetOf(m.Entry)
	if err != nil {
		err = errors.Join(err, unix.Close(parent))
	}
	return t, err
}

// Record is what the tables of user space keep of a new mount. Of the kernel's options,
// mountinfo shows flags which statmount does not.
func (m *Mounted) Record(plan policy.Plan) (mtab.Record, error) {
	r, err := record(m.fd, m.at.place, m.Entry)
	if err != nil {
		return r, err
	}
	t, _ := plan.Params()
	flags := t.Words()
	rest := slices.DeleteFunc(strings.Split(r.Options, ","), func(o string) bool {
		return o == "rw" || slices.Contains(flags, o)
	})
	r.Options = strings.Join(slices.Concat(flags, rest), ",")
	r.Userspace = plan.Userspace
	return r, nil
}
