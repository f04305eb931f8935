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

	"github.com/go-fusermount/fusermount/internal/mtab"
)

// Mounted is a mount that Mount has made, with its device. It is safe for
// concurrent use. Keep it as long as the file system is served, and Close it in
// the end.
type Mounted struct {
	path    string // as it was given, for mounts that are not in our table
	entry   mtab.Entry
	known   bool // whether there is an entry
	options unmountOptions
	direct  bool
	sync    bool
	adopted bool
	// elsewhere says that the mount lies in another mount namespace: the helper
	// is a wrapper that leads out of this one.
	elsewhere bool
	left      atomic.Bool // it is unmounted there
	// dismissed is closed when the helper that has mounted is gone; nil where there is
	// nothing to wait for.
	dismissed <-chan struct{}

	gone     chan struct{} // closed when the mount has gone, or with the Mounted
	goneOnce sync.Once

	mu      sync.Mutex // of all below
	file    *os.File   // nil once it was taken
	watcher *process   // the helper that stays for AutoUnmount
	closed  bool
	watched bool
}

// mounted makes a Mounted of what is mounted now, which may have no entry here.
func (m *mounting) mounted(file *os.File, entry mtab.Entry, direct bool) *Mounted {
	options := m.unmountOptions(Fail)
	options.stderr = nil // it is Mount's
	return &Mounted{
		path: m.was.path, entry: entry, known: entry.ID != 0, options: options,
		file: file, direct: direct, gone: make(chan struct{}),
	}
}

// File gives the device. It stays m's: Close closes it, so whoever reads it must
// not close it, and must not use it any more after Close. It is nil after
// [Mounted.TakeFd].
//
// The device is in blocking mode and not known to the Go runtime's poller, so a
// read occupies a thread. Before there is a mount the kernel lets a poll wait,
// even one of the runtime for all its descriptors; once Mount has returned, a
// library that prefers polling may make a non-blocking file of it.
//
// A read gives ENODEV when the file system was unmounted and is not used any
// more, or was aborted.
func (m *Mounted) File() *os.File {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.file
}

// Fd gives the number of File's descriptor, which stays m's, or -1 after
// [Mounted.TakeFd].
func (m *Mounted) Fd() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.file == nil {
		return -1
	}
	return int(m.file.Fd()) // while it is locked nobody closes it
}

// TakeFd hands the device over: the caller owns the descriptor that it gives,
// which is close-on-exec, and has to close it; m has none any more. This is for
// libraries that take over a number, as those do that mount on "/dev/fd/N". The
// number is not File's: that one is closed.
//
// Close then leaves the mount alone. It still ends the helper that stays for
// AutoUnmount, and with it the watch: keep m open as long as that is wanted.
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

// ID gives the kernel's id of the mount: the unique one, which is never used
// again, from Linux 6.8 on (statx's STATX_MNT_ID_UNIQUE), and else the one of
// /proc/self/mountinfo. It is 0 where the mount is not in this process's mount
// namespace.
func (m *Mounted) ID() uint64 { return m.entry.ID }

// Mountpoint gives the absolute path of the mountpoint, without symlinks, as it
// was when it was mounted.
func (m *Mounted) Mountpoint() string {
	if m.known && m.entry.Mountpoint != "" {
		return m.entry.Mountpoint
	}
	if abs, err := filepath.Abs(m.path); err == nil {
		return abs
	}
	return m.path
}

// Connection gives the number of the kernel's FUSE connection, as below
// /sys/fs/fuse/connections. It is 0 where ID is.
func (m *Mounted) Connection() uint32 { return m.entry.Connection() }

// Direct says whether the mount was made without a helper.
func (m *Mounted) Direct() bool { return m.direct }

// SyncInit says whether Options.SyncInit was called before there was a mount,
// and INIT was answered before Mount returned.
func (m *Mounted) SyncInit() bool { return m.sync }

// Unmount unmounts exactly this mount, known by its id, wherever it lies now:
// never one that lies on top of it, which is an ErrCovered, nor one that came to
// its place since, which is an ErrNotMounted as is any unmount of what is gone
// already. The options say what to do while it is busy; by default Unmount
// fails with EBUSY. The device stays open, for the daemon to come to its end:
// see Close. A helper that has mounted and has not ended yet is waited for.
//
// What is known by its id can be unmounted by its path only. In this process the
// unmounts of one mount follow each other. Somebody else's can come between the
// last look at the id and the system call: some microseconds in a direct unmount,
// and the helper's start otherwise; the helper makes sure by itself that what it
// takes away is the caller's. Has he exchanged the mount for another, Unmount says
// so; has he unmounted it, what lies beneath is unmounted, and nobody can tell.
//
// For a mount in another mount namespace (see ID) a helper is asked by the path,
// unless there is a FUSE mount here, too; an adopted one (see Mount) is not
// unmounted then.
func (m *Mounted) Unmount(ctx context.Context, opts ...UnmountOption) error {
	o := m.options
	for _, option := range opts {
		option.apply(&o)
	}
	u := &unmounting{entry: m.entry, who: whoCalls(), options: o}
	var err error
	switch {
	case m.known:
		err = u.run(ctx)
	case m.elsewhere:
		u.entry.Mountpoint, u.left = m.path, &m.left
		err = u.retry(ctx, u.elsewhere)
	default:
		err = because("this mount is not in the mount table of this process", ErrNotMounted)
	}
	if err == nil || errors.Is(err, ErrNotMounted) {
		m.endHelpers()
	}
	if err != nil {
		return u.failure(m.path, err)
	}
	table.remove(m)
	m.setGone()
	return nil
}

// endHelpers ends the helper that stays for AutoUnmount, since there is nothing to
// watch any more, and sees the one gone that has mounted.
func (m *Mounted) endHelpers() {
	m.mu.Lock()
	p := m.watcher
	m.watcher = nil
	m.mu.Unlock()
	if p != nil {
		p.end(nil)
	}
	if m.dismissed != nil {
		<-m.dismissed
	}
}

// closeLimit bounds the unmount in Close.
const closeLimit = 10 * time.Second

// Close gives everything back: the device, unless it was taken, and the helper
// that stays for AutoUnmount or has not ended yet, which is waited for. If the device is still m's, the
// mount is unmounted first, lazily, since nobody could serve it any more; that
// takes at most ten seconds. An adopted mount is not unmounted. When the unmount
// fails, as where another mount lies on top, the device is closed all the same: the
// mount is dead then, and stays until somebody calls [Mounted.Unmount].
//
// A read of the device that is under way does not end by this but by the end of
// the mount. More calls do nothing.
func (m *Mounted) Close() error {
	m.mu.Lock()
	file := m.file
	first := !m.closed
	m.closed, m.file = true, nil
	m.mu.Unlock()
	if !first {
		return nil
	}
	var err error
	if file != nil && !m.adopted {
		ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
		defer cancel()
		if err = m.Unmount(ctx, Lazy); errors.Is(err, ErrNotMounted) {
			err = nil
		}
	}
	if file != nil {
		err = also(err, file.Close())
	}
	m.endHelpers()
	table.remove(m)
	m.setGone()
	return err
}
