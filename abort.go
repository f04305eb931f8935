//go:build linux

package fusermount

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/connection"
	"github.com/go-fusermount/fusermount/internal/fuseerr"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/pathfd"
)

// Abort ends the kernel's connection with the daemon of the FUSE mount that lies
// topmost at path. The daemon need not answer for that: each process that waits for it
// gets an error, and the daemon gets ENODEV. What was written and has not reached the
// daemon is lost. The mount stays, and is dead; see [Unmount].
//
// The mount's owner may do it where fusectl is mounted on /sys/fs/fuse/connections,
// and root (CAP_SYS_ADMIN) everywhere. Only the lookup of path can wait, and ctx ends
// that. The error is an [*Error]; an ErrNotMounted where there is no FUSE mount at path.
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

// Abort ends the kernel's connection with the daemon, as the function [Abort] does.
// After a lazy unmount it ends what goes on in the file system, as long as m has the
// device and fusectl is mounted. It does not start if ctx has ended.
func (m *Mounted) Abort(ctx context.Context) error {
	err := ErrNotMounted
	switch {
	case ctx.Err() != nil:
		err = fuseerr.Context(ctx)
	case m.known:
		err = abortConnection(m.entry, currentCaller(), m.connected)
	}
	if err != nil {
		return &Error{Op: "abort", Path: m.path, Err: err}
	}
	return nil
}

// connected returns an error unless the connection is still this mount's. Its number
// is used again after the end of the file system, which does not end while it is
// mounted or while the device has a connection.
func (m *Mounted) connected() error {
	err := stillListed(m.entry)
	m.mu.Lock()
	defer m.mu.Unlock()
	if errors.Is(err, ErrNotMounted) && m.file != nil && connection.IsMounted(int(m.file.Fd())) {
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
	control, err := connection.OpenAs(who.onConnections())
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

// abortByForce starts a forced unmount, in which the kernel aborts the connection
// first. A descriptor keeps the mount busy meanwhile, so that it stays. This is for
// user namespaces, where there is no fusectl.
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
