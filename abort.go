//go:build linux

package fusermount

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/connection"
	"github.com/go-fusermount/fusermount/internal/fusedev"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/pathfd"
)

// Abort ends the kernel's connection with the daemon of the FUSE mount that lies
// topmost at path, which need not answer for that: everybody who waits for it
// gets an error, which frees processes that nothing else would, and the daemon
// gets ENODEV. The mount stays, and is dead; see [Unmount].
//
// It may be done by the mount's owner where fusectl is mounted on
// /sys/fs/fuse/connections, and by whoever has CAP_SYS_ADMIN. The error is an
// [*Error]; an ErrNotMounted where there is no FUSE mount at path.
func Abort(ctx context.Context, path string) error {
	e, err := fuseMountAt(ctx, path)
	if err == nil {
		err = abortConnection(e, currentCaller(), func() error { return stillListed(e) })
	}
	if err != nil {
		return &Error{Op: "abort", Path: path, Err: err}
	}
	return nil
}

// Abort ends the kernel's connection with the daemon, which may hang: everybody
// who waits for it gets an error, and the mount stays and is dead. See [Abort].
// After a lazy unmount it ends what goes on in the file system, as long as m has
// the device and where there is fusectl.
func (m *Mounted) Abort() error {
	err := ErrNotMounted
	if m.known {
		err = abortConnection(m.entry, currentCaller(), m.connected)
	}
	if err != nil {
		return &Error{Op: "abort", Path: m.path, Err: err}
	}
	return nil
}

// connected wants the connection to be still this mount's. A number becomes
// another's when the file system has ended, which it has not while it is mounted,
// nor while the device has a connection.
func (m *Mounted) connected() error {
	err := stillListed(m.entry)
	m.mu.Lock()
	defer m.mu.Unlock()
	if errors.Is(err, ErrNotMounted) && m.file != nil && fusedev.IsMounted(int(m.file.Fd())) {
		return nil
	}
	return err
}

func stillListed(e mtab.Entry) error {
	_, err := mtab.Reload(e)
	if errors.Is(err, mtab.ErrNotListed) {
		return ErrNotMounted
	}
	return err
}

// abortConnection aborts the connection of a mount while connected has no error.
func abortConnection(e mtab.Entry, who caller, connected func() error) error {
	if err := connected(); err != nil {
		return err
	}
	control, err := openControl(who)
	if err == nil {
		err = errors.Join(control.AbortIf(e.Connection(), connected), control.Close())
	}
	if errors.Is(err, unix.ENOENT) && errors.Is(connected(), ErrNotMounted) {
		return ErrNotMounted // it has just ended
	}
	if err == nil || !who.admin || errors.Is(err, ErrNotMounted) {
		return err
	}
	if other := abortByForce(e); other != nil {
		return errors.Join(err, other)
	}
	return nil
}

// openControl opens fusectl where it is mounted, or one of our own that is
// attached nowhere.
func openControl(who caller) (connection.Dir, error) {
	control, err := connection.Open()
	if err == nil || !who.admin {
		return control, err
	}
	context, other := unix.Fsopen("fusectl", unix.FSOPEN_CLOEXEC)
	if other != nil {
		return control, err
	}
	defer unix.Close(context)
	if unix.FsconfigCreate(context) != nil {
		return control, err
	}
	mount, other := unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, 0)
	if other != nil {
		return control, err
	}
	return connection.At(mount), nil
}

// abortByForce has the kernel begin a forced unmount, whose first act is to
// abort the connection. Our own descriptor keeps the mount busy meanwhile, so
// that it stays. This is for user namespaces, where there is no fusectl.
func abortByForce(e mtab.Entry) error {
	e, err := mtab.Reload(e) // it may have been moved
	if errors.Is(err, mtab.ErrNotListed) {
		err = ErrNotMounted
	}
	if err != nil {
		return err
	}
	fd, err := pathfd.Open(unix.AT_FDCWD, e.Mountpoint, unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if now, _, err := mtab.ByFD(fd); err != nil || !mtab.Same(now, e) {
		return wrap(ErrCovered.Error(), ErrCovered, unix.EBUSY)
	}
	if err := unix.Unmount(pathfd.Link(fd), unix.MNT_FORCE); !errors.Is(err, unix.EBUSY) {
		return err
	}
	return nil
}
