//go:build linux

package fusermount

import (
	"context"
	"errors"

	"github.com/go-fusermount/fusermount/internal/connection"
	"github.com/go-fusermount/fusermount/internal/fuseerr"
	"github.com/go-fusermount/fusermount/internal/mtab"
)

// Abort ends the kernel's connection with the daemon of the FUSE mount that lies topmost
// at path: each process that waits for the daemon gets an error, the daemon gets ENODEV,
// and what has not reached the daemon is lost. The mount stays, and is dead; see [Unmount].
//
// The mount's owner may do it where fusectl is mounted on /sys/fs/fuse/connections, and
// root (CAP_SYS_ADMIN) everywhere. The error is an [*Error].
func Abort(ctx context.Context, path string) error {
	e, err := fuseMountAt(ctx, path)
	if err == nil {
		err = connection.AbortMount(e, currentCaller().onConnections(), func() error { return stillListed(e) })
	}
	if err != nil {
		return &Error{Op: "abort", Path: path, Err: err}
	}
	return nil
}

// Abort is the function [Abort] for this mount. After a lazy unmount it ends what goes on
// in the file system, as long as m has the device and fusectl is mounted.
func (m *Mounted) Abort(ctx context.Context) error {
	err := ErrNotMounted
	switch {
	case ctx.Err() != nil:
		err = fuseerr.Context(ctx)
	case m.known:
		err = connection.AbortMount(m.entry, currentCaller().onConnections(), m.connected)
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
