//go:build linux

package fusermount

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/ask"
	"github.com/go-fusermount/fusermount/internal/directmount"
	"github.com/go-fusermount/fusermount/internal/fuseconf"
	"github.com/go-fusermount/fusermount/internal/helperproc"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// Mount attaches a FUSE file system at mountpoint, a directory or a regular file, and
// returns the device on which it is to be served. A symlink at the end of mountpoint is
// followed. The context means nothing for the mount once Mount has returned. The error is
// an [*Error].
func Mount(ctx context.Context, mountpoint string, opts *Options) (*Mounted, error) {
	s, err := opts.spec()
	if err != nil {
		return nil, newError("mount", mountpoint, err)
	}
	made, at, err := s.mount(ctx, mountpoint)
	return s.result(mountpoint, at, made, err)
}

// result is what Mount and Adopt return.
func (s *spec) result(path string, at snapshot, m *made, err error) (*Mounted, error) {
	switch {
	case err != nil && s.refused: // no fault of a helper, whatever a callback has run
		return nil, &Error{Op: "mount", Path: path, Err: err}
	case err != nil:
		return nil, newError("mount", path, err)
	}
	return newMounted(s, at, m), nil
}

// way is a way to get a mounted device. If it fails, or a callback panics, it leaves
// nothing behind.
type way interface {
	mount(ctx context.Context, s *spec, at snapshot) (*made, error)
}

// made is what a way has made.
type made struct {
	file     *os.File
	entry    mtab.Entry // ID is 0 if the mount is not in the mount table of this process
	direct   bool
	service  bool
	adopted  bool
	syncInit bool // SyncInit was called before there was a mount
	// foreignNamespace says that the mount lies in another mount namespace: the helper
	// is a wrapper that leads there.
	foreignNamespace bool

	warnings []string         // of the helper, or of a direct mount
	keeper   *helperproc.Proc // the helper that stays for AutoUnmount
	leaving  <-chan struct{}  // closed when the helper that has mounted is gone; may be nil
}

// mount takes the first way that is not closed to this process.
func (s *spec) mount(ctx context.Context, mountpoint string) (*made, snapshot, error) {
	if mountpoint == "" { // a helper would not say what is missing
		return nil, snapshot{}, wrap("the mountpoint is empty", ErrMountpoint, unix.ENOENT)
	}
	if strings.IndexByte(mountpoint, 0) >= 0 {
		return nil, snapshot{}, wrap("NUL in the mountpoint", ErrMountpoint, unix.EINVAL)
	}
	ways := s.ways()
	if ways[0] == (helperWay{}) { // before anything is done
		if err := s.checkAllowOther(); err != nil {
			return nil, snapshot{}, err
		}
	}
	at, err := takeSnapshot(ctx, mountpoint)
	if err == nil && at.isProc() {
		err = wrap("the mount would hide /proc from this process, which needs it", ErrMountpoint, unix.EINVAL)
	}
	if err == nil && s.ReplaceStale {
		at, err = at.replaceStale(ctx, s, mountpoint)
	}
	if err != nil {
		return nil, at, err
	}
	var denied error // of a direct mount
	for i, w := range ways {
		m, err := w.mount(ctx, s, at)
		closed := errors.Is(err, ask.ErrNoService)
		if w == (directWay{}) && directmount.UnsupportedOrDenied(err) {
			closed, denied = true, err
		}
		if i == len(ways)-1 || !closed || s.served || ctx.Err() != nil {
			if denied != nil && errors.Is(err, ErrHelperNotFound) {
				err = wrap(err.Error()+"; mounting without one: "+denied.Error(), err, denied)
			}
			return m, at, err
		}
		s.log().Debug("trying another way to mount", "mountpoint", at.path, "err", err)
	}
	return nil, at, nil // there always is a way
}

// ways are the ways to try, one after the other.
func (s *spec) ways() []way {
	switch {
	case s.Method == MethodDirect, s.directOnly():
		return []way{directWay{}}
	case s.Method == MethodHelper:
		return []way{helperWay{}}
	case s.Method == MethodService:
		return []way{helperWay{service: true}}
	}
	ways := []way{helperWay{}}
	if s.helper.serviceable() && s.Helper == "" {
		ways = []way{helperWay{service: true}, helperWay{}}
	}
	// With auto_unmount another process has to stay anyway. It knows best what to watch if it has
	// mounted that itself.
	if s.user.admin && !s.direct.AutoUnmount {
		ways = append([]way{directWay{}}, ways...)
	}
	return ways
}

// checkAllowOther reports whether a helper may grant allow_other to the user, if that is
// asked for. It reads /etc/fuse.conf as the helper does, with the caller's rights; the
// helper still decides.
func (s *spec) checkAllowOther() error {
	if !s.helper.AllowOther || s.user.uid == 0 {
		return nil
	}
	needs := "allow_other needs the line user_allow_other in " + fuseconf.Path
	text, err := rawfile.Text(fuseconf.Path)
	if err != nil {
		return wrap(needs+", which cannot be read: "+err.Error(), ErrAllowOther, unix.EPERM)
	}
	settings, _, err := fuseconf.Parse(text)
	if err != nil || !settings.UserAllowOther {
		return wrap(needs, ErrAllowOther, unix.EPERM)
	}
	return nil
}

// serve calls SyncInit, if there is one.
func (s *spec) serve(device *os.File) (err error) {
	if s.SyncInit == nil || s.served {
		return nil
	}
	s.served, s.refused = true, true // until it has returned
	if s.stop, err = s.SyncInit(device); err != nil {
		s.stop = nil
		return wrap("SyncInit: "+err.Error(), err)
	}
	s.refused = false
	return nil
}

// closeDevice closes the device of a mount that is gone, once SyncInit's stop has
// returned.
func (s *spec) closeDevice(device *os.File) error {
	stop := s.stop
	if s.stop = nil; stop == nil {
		return device.Close()
	}
	closed := make(chan error, 1)
	go func() {
		defer func() { closed <- device.Close() }() // also after Goexit
		stop()
	}()
	select {
	case err := <-closed:
		return err
	case <-time.After(stopTimeout):
		return errors.New("and the stop of SyncInit does not return; the device is closed when it does")
	}
}

const (
	undoTimeout = 5 * time.Second // for what is done after the end of the caller's context
	stopTimeout = 2 * time.Second // for SyncInit's stop
)

// undo takes back a mount that the caller does not get, whatever the context says, and by
// any method.
func (s *spec) undo(ctx context.Context, e mtab.Entry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	u := &unmounting{entry: e, user: s.user, options: UnmountOptions{Policy: UnmountLazy, Helper: s.Helper, Logger: s.Logger}}
	if err := u.run(ctx); err != nil && !errors.Is(err, ErrNotMounted) {
		return wrap("and the mount could not be taken back: "+err.Error(), err)
	}
	return nil
}

func (s *spec) log() *slog.Logger { return logTo(s.Logger) }

// runHelper starts a helper.
func runHelper(ctx context.Context, log *slog.Logger, path string, args ...string) (*helperproc.Proc, error) {
	if err := checkDescriptors(); err != nil {
		return nil, err
	}
	log.Debug("run helper", "path", path, "args", args)
	return helperproc.Start(ctx, path, args...)
}

func warn(log *slog.Logger, prefix string, messages []string) {
	for _, m := range messages {
		log.Warn(prefix + m)
	}
}

// caller is what the kernel checks of the thread that calls this package.
type caller struct {
	uid, gid uint32
	// admin is CAP_SYS_ADMIN, effective in the thread's user namespace. Without it no
	// mount and no unmount is allowed, whatever the uid; with it, it may be refused for
	// many other reasons.
	admin bool
}

func currentCaller() caller {
	c := caller{uid: uint32(unix.Getuid()), gid: uint32(unix.Getgid())}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err == nil {
		c.admin = data[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
	}
	return c
}
