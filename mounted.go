//go:build linux

package fusermount

import (
	"context"
	"errors"
	"fmt"
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
	// Direct says that this process has mounted, and Service that the mount service has.
	// Otherwise a helper has.
	Direct, Service bool
	// SyncInit says that Options.SyncInit was called before there was a mount, and INIT
	// was answered before Mount returned.
	SyncInit bool
	// Warnings are the lines that the helper wrote until its device had come, or name the
	// options that have no effect on a direct mount.
	Warnings []string
}

// table tells when mounts leave the mount table.
var table fusemounts.Watcher

// served has this process's Mounteds by their connections' numbers, which are also the
// device numbers of the files in them.
var served sync.Map

// checkDescriptors refuses to start a helper that would never begin. A child gets files of
// its own under the numbers 0 to 3. To close its copy of a file in a mount asks that mount's
// daemon, and until the child runs the helper, this process may not run.
func checkDescriptors() error {
	for fd := range 4 {
		var st unix.Statx_t
		err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_TYPE, &st)
		if err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Dev_major != 0 {
			continue
		}
		m, found := served.Load(st.Dev_minor)
		if found && m.(*Mounted).connected() == nil { // else the number may be another's by now
			return wrap(fmt.Sprintf("no helper can be started while descriptor %d is a file in %s, which this process serves",
				fd, m.(*Mounted).Mountpoint()), unix.EDEADLK)
		}
	}
	return nil
}

// newMounted makes a Mounted of what is mounted now.
func newMounted(s *spec, at snapshot, m *made) *Mounted {
	if !m.direct {
		warn(s.log(), "helper: ", m.warnings)
	} else {
		warn(s.log(), "", m.warnings)
	}
	mounted := &Mounted{
		path: at.path, entry: m.entry, known: m.entry.ID != 0, options: s.unmountOptions(UnmountFail),
		info: MountedInfo{
			Connection: m.entry.Connection(), Direct: m.direct, Service: m.service, SyncInit: m.syncInit, Warnings: m.warnings,
		},
		detached: m.adopted, foreignNamespace: m.foreignNamespace, leaving: m.leaving,
		file: m.file, keeper: m.keeper, gone: make(chan struct{}),
	}
	if number := mounted.info.Connection; number != 0 {
		served.Store(number, mounted)
	}
	if m.keeper != nil { // its work ends with the mount, however that ends
		mounted.Done()
	}
	return mounted
}

// File returns the device. It stays m's: its reader must not close it. It is nil after
// [Mounted.TakeFile] and Close.
//
// The device is in blocking mode and not known to the Go runtime's poller, so a read
// occupies a thread. Before there is a mount, a poll of the device blocks; once Mount has
// returned, a library may make a non-blocking file of it. A read gives ENODEV when the file
// system has ended.
func (m *Mounted) File() *os.File {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.file
}

// TakeFile hands the device over: the caller owns the file, which is the one of
// [Mounted.File], and has to close it. Close still unmounts, unless Detach was called. The
// error is fs.ErrClosed.
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

// Detach has Close leave the mount alone, as for a device that another process goes on to
// serve. Close still ends the helper that stays for AutoUnmount.
func (m *Mounted) Detach() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.detached = true
}

// ID returns the kernel's id of the mount: from Linux 6.8 on the unique one
// (STATX_MNT_ID_UNIQUE), else the one of /proc/self/mountinfo. It is 0 where the mount is
// not in this process's mount namespace.
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
// which is an ErrNotMounted as is any unmount of what is gone already. By default it fails
// with EBUSY while the mount is busy; see [UnmountOptions]. The device stays open.
//
// The kernel unmounts by path only, and another process can act between the last check of
// the id and the system call: some microseconds in a direct unmount, and the helper's start
// otherwise. If that process has replaced the mount by another, Unmount says so; if it has
// unmounted it, the mount beneath is unmounted, and nothing can tell.
//
// For a mount in another mount namespace (see ID) a helper is asked by the path, unless
// there is a FUSE mount here, too; an adopted one is not unmounted then.
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
				warn(logTo(m.options.Logger), "helper: ", all[before:])
			}
		}
	})
	if m.leaving != nil {
		<-m.leaving
	}
}

// closeTimeout bounds the unmount in Close.
const closeTimeout = 10 * time.Second

// Close unmounts, lazily and for at most ten seconds, and gives everything back: the device,
// unless it was taken, and the helper. There is no unmount after [Mounted.Detach] and for
// an adopted mount. When it fails, as where another mount lies on top, the device is closed
// all the same, and the mount stays, dead; Close may be called again.
func (m *Mounted) Close() error {
	m.mu.Lock()
	file, detached := m.file, m.detached
	m.closed, m.file = true, nil
	m.mu.Unlock()
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
	served.Delete(m.info.Connection)
	return err
}

// Done returns a channel that is closed when the mount is gone from the mount table,
// however it was unmounted, or when m is closed. After a lazy unmount the file system may
// still be in use: that ends with ENODEV from the device. One goroutine watches the table
// for all mounts of the process.
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

// Wait waits for Done. The error is nil when the mount is gone, fs.ErrClosed when m was
// closed before that, or the context's.
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
