package fusermount

import (
	"context"
	"io/fs"
)

// Done gives a channel that is closed when the mount is gone from the mount
// table, whoever unmounted it and however, or when m is closed. After a lazy
// unmount the file system may still be in use: that ends with ENODEV from the
// device. Nothing is told of a mount in another mount namespace (see ID).
//
// It waits for the kernel's word that the mount table has changed (poll(2) of
// /proc/self/mountinfo), in one goroutine for all mounts of the process.
func (m *Mounted) Done() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known && !m.watched && !m.closed {
		m.watched = true
		table.add(m)
	}
	return m.gone
}

// Wait waits for Done. The error is nil when the mount is gone, also if the context
// has ended, fs.ErrClosed when m was closed before that, or the context's; it is no
// [*Error].
func (m *Mounted) Wait(ctx context.Context) error {
	done := m.Done()
	select {
	case <-done:
	case <-ctx.Done():
		select {
		case <-done:
		default:
			if !m.known || !isGone(m.entry) { // nobody may have told yet
				return whyEnded(ctx)
			}
		}
	}
	if m.known && isGone(m.entry) || m.left.Load() {
		return nil
	}
	return fs.ErrClosed
}

// setGone closes gone.
func (m *Mounted) setGone() { m.goneOnce.Do(func() { close(m.gone) }) }
