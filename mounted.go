//go:build linux

package fusermount

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fuseerr"
	"github.com/go-fusermount/fusermount/internal/fusemounts"
	"github.com/go-fusermount/fusermount/internal/helperproc"
	"github.com/go-fusermount/fusermount/internal/mtab"
)

// Mounted is a mount that Mount has made, with its device. It is safe for concurrent
// use. Keep it as long as the file system is served, and Close it in the end.
type Mounted struct {
	path    string // as it was given, for mounts that are not in the mount table
	entry   mtab.Entry
	known   bool           // there is an entry
	options UnmountOptions // of the mount
	info    MountedInfo
	// foreignNamespace says that the mount lies in another mount namespace, and
	// unmountedThere that it was unmounted there.
	foreignNamespace bool
	unmountedThere   atomic.Bool
	leaving          <-chan struct{}  // closed when the helper that has mounted is gone; may be nil
	keeper           *helperproc.Proc // the helper that stays for AutoUnmount; may be nil
	endOnce          sync.Once        // ends it

	gone     chan struct{} // closed when the mount has gone, or with the Mounted
	goneOnce sync.Once

	mu        sync.Mutex // of all below
	file      *os.File   // nil once it was taken
	closed    bool
	detached  bool   // Close leaves the mount alone
	stopWatch func() // of Done; nil before
}

// MountedInfo is what there is to know of a mount besides its id and mountpoint.
type MountedInfo struct {
	// Connection is the number of the kernel's FUSE connection, as below
	// /sys/fs/fuse/connections. It is 0 where [Mounted.ID] is.
	Connection uint32
	// Direct says that the mount was made without a helper.
	Direct bool
	// SyncInit says that Options.SyncInit was called before there was a mount, and INIT
	// was answered before Mount returned.
	SyncInit bool
	// Warnings are the lines that the helper wrote until its device had come, such as
	// about an option that it ignored.
	Warnings []string
}

// table tells when mounts leave the mount table.
var table fusemounts.Watcher

// newMounted makes a Mounted of what is mounted now.
func newMounted(s *spec, at snapshot, m *made) *Mounted {
	warn(s.log(), m.warnings)
	mounted := &Mounted{
		path: at.path, entry: m.entry, known: m.entry.ID != 0, options: s.unmountOptions(UnmountFail),
		info: MountedInfo{
			Connection: m.entry.Connection(), Direct: m.direct, SyncInit: m.syncInit, Warnings: m.warnings,
		},
		detached: m.adopted, foreignNamespace: m.foreignNamespace, leaving: m.leaving,
		file: m.file, keeper: m.keeper, gone: make(chan struct{}),
	}
	if m.keeper != nil { // its work ends with the mount, however that ends
		mounted.Done()
	}
	return mounted
}

// File returns the device. It stays m's: Close closes it, so its reader must not
// close it, and must not use it after Close: end the loop that reads it first.
// It is nil after [Mounted.TakeFile] and [Mounted.TakeFd].
//
// The device is in blocking mode and not known to the Go runtime's poller, so a read
// occupies a thread. Before there is a mount the kernel lets a poll wait, even one of the
// runtime for all its descriptors; once Mount has returned, a library that prefers
// polling may make a non-blocking file of it.
//
// A read gives ENODEV when the file system was unmounted and is not used any more, or
// was aborted.
func (m *Mounted) File() *os.File {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.file
}

// TakeFile hands the device over: the caller owns the file, which is the one of
// [Mounted.File], and has to close it; m has none any more.
func (m *Mounted) TakeFile() (*os.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || m.file == nil {
		return nil, fs.ErrClosed
	}
	file := m.file
	m.file = nil
	return file, nil
}

// TakeFd is TakeFile for libraries that take over the number of a descriptor and close
// that, as those do that mount on "/dev/fd/N". The number is not File's, since the file
// would close it once more; it is close-on-exec. File is closed.
func (m *Mounted) TakeFd() (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || m.file == nil {
		return -1, fs.ErrClosed
	}
	fd, err := unix.FcntlInt(m.file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("fcntl", err)
	}
	err = m.file.Close()
	m.file = nil
	return fd, err
}

// Detach has Close leave the mount alone, as for a device that another process goes on to
// serve. Close still ends the helper that stays for AutoUnmount, and with it the watch:
// keep m open as long as that is wanted.
func (m *Mounted) Detach() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.detached = true
}

// ID returns the kernel's id of the mount: the unique one, which is never used again,
// from Linux 6.8 on (statx's STATX_MNT_ID_UNIQUE), and else the one of
// /proc/self/mountinfo. It is 0 where the mount is not in this process's mount
// namespace.
func (m *Mounted) ID() uint64 { return m.entry.ID }

// Mountpoint returns the absolute path of the mountpoint, without symlinks, as it was
// when it was mounted.
func (m *Mounted) Mountpoint() string {
	if m.known && m.entry.Mountpoint != "" {
		return m.entry.Mountpoint
	}
	if abs, err := filepath.Abs(m.path); err == nil {
		return abs
	}
	return m.path
}

// Info returns the rest of what is known of the mount. It does not change.
func (m *Mounted) Info() MountedInfo { return m.info }

// Unmount unmounts exactly this mount, known by its id, wherever it lies now: never one
// that lies on top of it, which is an ErrCovered, nor one that came to its place since,
// which is an ErrNotMounted as is any unmount of what is gone already. By default it
// fails with EBUSY while the mount is busy; see [UnmountOptions]. The device stays open,
// for the daemon to come to its end: see Close. A helper that has mounted and has not
// ended yet is waited for.
//
// The kernel unmounts by path only. In this process the unmounts of one mount follow each
// other. Another process can act between the last check of the id and the system call:
// some microseconds in a direct unmount, and the helper's start otherwise; the helper
// checks by itself that what it takes away is the user's. If that process has replaced
// the mount by another, Unmount says so; if it has unmounted it, the mount beneath is
// unmounted, and nothing can tell.
//
// For a mount in another mount namespace (see ID) a helper is asked by the path, unless
// there is a FUSE mount here, too; an adopted one (see Mount) is not unmounted then.
func (m *Mounted) Unmount(ctx context.Context, opts *UnmountOptions) error {
	u := &unmounting{entry: m.entry, user: currentCaller(), options: opts.over(m.options)}
	var err error
	switch {
	case m.known:
		err = u.run(ctx)
	case m.foreignNamespace:
		u.entry.Mountpoint, u.unmountedThere = m.path, &m.unmountedThere
		err = u.retry(ctx, u.inForeignNamespace)
	default:
		err = wrap("this mount is not in the mount table of this process", ErrNotMounted)
	}
	if err == nil || errors.Is(err, ErrNotMounted) {
		m.endHelpers()
	}
	if err != nil {
		return newError("unmount", m.path, err)
	}
	m.setGone()
	return nil
}

// endHelpers ends the helper that stays for AutoUnmount, since there is nothing to watch
// any more, and waits for the end of the one that has mounted.
func (m *Mounted) endHelpers() {
	m.endOnce.Do(func() {
		if p := m.keeper; p != nil {
			before := len(p.Messages())
			p.End(nil)
			if all := p.Messages(); len(all) > before {
				warn(logTo(m.options.Logger), all[before:])
			}
		}
	})
	if m.leaving != nil {
		<-m.leaving
	}
}

// closeTimeout bounds the unmount in Close.
const closeTimeout = 10 * time.Second

// Close unmounts, and gives everything back: the device, unless it was taken, and the
// helper that stays for AutoUnmount or has not ended yet, which is waited for. The unmount
// is lazy and takes at most ten seconds; there is none after [Mounted.Detach] and for an
// adopted mount. When it fails, as where another mount lies on top, the device is closed
// all the same: the mount is dead then, and stays until [Mounted.Unmount] is called.
//
// A read of the device that is under way does not end by this but by the end of the
// mount: wait for the loop that reads before Close. More calls do nothing.
func (m *Mounted) Close() error {
	m.mu.Lock()
	file, first, detached := m.file, !m.closed, m.detached
	m.closed, m.file = true, nil
	m.mu.Unlock()
	if !first {
		return nil
	}
	var err error
	// A mount that is gone needs no helper, which may be gone as well.
	if mayExist := m.known && !isGone(m.entry) || m.foreignNamespace; mayExist && !detached {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if err = m.Unmount(ctx, &UnmountOptions{Policy: UnmountLazy}); errors.Is(err, ErrNotMounted) {
			err = nil
		}
	}
	if file != nil {
		err = errors.Join(err, file.Close())
	}
	m.endHelpers()
	m.setGone()
	return err
}

// Done returns a channel that is closed when the mount is gone from the mount table,
// however it was unmounted, or when m is closed. After a lazy unmount the file
// system may still be in use: that ends with ENODEV from the device. Nothing is told of a
// mount in another mount namespace (see ID).
//
// It waits until the kernel reports a change of the mount table (poll(2) of
// /proc/self/mountinfo), in one goroutine for all mounts of the process.
func (m *Mounted) Done() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known && m.stopWatch == nil && !m.closed {
		m.stopWatch = table.Add(m.entry, func() {
			m.closeGone()
			if m.keeper != nil {
				go m.endHelpers() // which waits for it
			}
		})
	}
	return m.gone
}

// Wait waits for Done. The error is nil when the mount is gone, also if the context has
// ended, fs.ErrClosed when m was closed before that, or the context's; it is no
// [*Error].
func (m *Mounted) Wait(ctx context.Context) error {
	done := m.Done()
	select {
	case <-done:
	case <-ctx.Done():
		select {
		case <-done:
		default:
			if !m.known || !isGone(m.entry) { // the watcher may not have looked yet
				return fuseerr.Context(ctx)
			}
		}
	}
	if m.known && isGone(m.entry) || m.unmountedThere.Load() {
		return nil
	}
	return fs.ErrClosed
}

// setGone ends the watch and closes gone.
func (m *Mounted) setGone() {
	m.mu.Lock()
	stop := m.stopWatch
	m.mu.Unlock()
	if stop != nil {
		stop()
	}
	m.closeGone()
}

func (m *Mounted) closeGone() {
	m.goneOnce.Do(func() {
		if m.gone != nil { // of the zero value
			close(m.gone)
		}
	})
}
