//go:build linux

package fusermount

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/cancelable"
	"github.com/go-fusermount/fusermount/internal/connection"
	"github.com/go-fusermount/fusermount/internal/fsparam"
	"github.com/go-fusermount/fusermount/internal/fusedev"
	"github.com/go-fusermount/fusermount/internal/fuseerr"
	"github.com/go-fusermount/fusermount/internal/fuseinit"
	"github.com/go-fusermount/fusermount/internal/mountopts"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/pathfd"
)

// directWay mounts in this process: with the new mount API and, where that is absent or
// forbidden or a name is too long for it, with mount(2).
type directWay struct{}

// mount runs its system calls outside of the goroutine that waits for the context, unless
// they ask no daemon: they may wait for those of other file systems, and with SyncInit
// for the one of this mount.
func (directWay) mount(ctx context.Context, s *spec, at snapshot) (*made, error) {
	if !s.user.admin {
		return nil, wrap("mounting without a helper takes CAP_SYS_ADMIN: "+unix.EPERM.Error(), unix.EPERM)
	}
	watcher := ""
	if s.typed.AutoUnmount {
		var err error
		if watcher, err = findHelper(ctx, s.Helper); err != nil {
			return nil, err
		}
	}
	d, err := run(ctx, at, func() (*directMount, error) { return prepareDirect(s, at) },
		func(d *directMount, err error) {
			if err == nil {
				d.cleanup()
			}
		})
	if err != nil {
		return nil, err
	}
	var entry mtab.Entry
	if d.syncInit {
		entry, err = d.serveAndCreate(ctx)
	} else {
		entry, err = d.createAndServe(ctx)
	}
	if err != nil {
		return nil, err
	}
	m := &made{file: d.file, entry: entry, direct: true, syncInit: d.syncInit}
	if watcher != "" {
		if err := m.watch(ctx, s, watcher); err != nil {
			return nil, errors.Join(err, s.undo(ctx, entry), d.file.Close())
		}
	}
	return m, nil
}

// watch starts a helper that watches the mount, as libfuse does.
func (m *made) watch(ctx context.Context, s *spec, path string) error {
	p, err := runHelper(ctx, s.log(), path, "--auto-unmount", "--", m.entry.Mountpoint)
	if err != nil {
		return err
	}
	if err := p.WaitWatching(); err != nil {
		p.End(nil)
		return p.Fail(err)
	}
	p.Keep()
	m.keeper = p
	return nil
}

// directMount is one mount in the making.
type directMount struct {
	spec     *spec
	at       snapshot
	params   fsparam.Params
	pin      int // the mountpoint: O_PATH, -1 for none
	file     *os.File
	device   int // file's descriptor
	context  int // of fsopen(2), -1 for mount(2)
	syncInit bool
	over     chan struct{} // closed when there is the mount, or will be none
}

// prepareDirect does all that comes before the kernel makes a file system.
func prepareDirect(s *spec, at snapshot) (*directMount, error) {
	if len(s.unknown) > 0 {
		return nil, wrap("unknown option '"+s.unknown[0]+"'", ErrUnknownOption, unix.EINVAL)
	}
	d := &directMount{spec: s, at: at, pin: -1, context: -1, over: make(chan struct{})}
	if err := d.prepare(); err != nil {
		d.cleanup()
		return nil, err
	}
	return d, nil
}

func (d *directMount) prepare() error {
	mode, err := d.pinMountpoint()
	if err != nil {
		return err
	}
	d.params = d.spec.params(mode)
	if d.params.Fits() {
		d.context, err = unix.Fsopen(d.params.Driver(), unix.FSOPEN_CLOEXEC)
		switch {
		case errors.Is(err, unix.ENODEV) && !d.params.BlockDevice:
			return wrap("this kernel has no FUSE", ErrNoDevice, err)
		case err != nil && !unsupportedOrDenied(err):
			return err
		}
	}
	if d.device, err = openDevice(); err != nil { // after fsopen, which loads the module
		return err
	}
	d.file = os.NewFile(uintptr(d.device), fusedev.Path)
	d.syncInit = d.spec.SyncInit != nil && connection.SyncInit(d.device) == nil
	if d.context < 0 {
		return nil
	}
	err = d.params.Configure(d.context, d.device)
	if unsupportedOrDenied(err) {
		d.closeContext()
		return nil
	}
	return d.explain(err)
}

// pinMountpoint opens the mountpoint, and returns its file type.
func (d *directMount) pinMountpoint() (mode uint32, err error) {
	if d.pin, err = pathfd.Open(unix.AT_FDCWD, d.at.path, 0); err != nil {
		return 0, err
	}
	var st unix.Statx_t
	flags := unix.AT_EMPTY_PATH | unix.AT_STATX_DONT_SYNC
	if mountopts.IsFuse(d.at.below.Type) {
		flags = unix.AT_EMPTY_PATH | unix.AT_STATX_FORCE_SYNC // to find a dead one
	}
	if err := unix.Statx(d.pin, "", flags, unix.STATX_TYPE, &st); errors.Is(err, unix.ENOTCONN) {
		return 0, wrap(ErrStale.Error(), ErrStale, err)
	} else if err != nil {
		return 0, err
	}
	mode = uint32(st.Mode) & unix.S_IFMT
	if mode != unix.S_IFDIR && mode != unix.S_IFREG {
		return 0, wrap("the mountpoint is not a directory or a regular file", unix.ENOTDIR)
	}
	return mode, nil
}

// openDevice opens the fuse device.
func openDevice() (int, error) {
	fd, err := fusedev.Open(fusedev.Path)
	if err != nil {
		err = wrap("open "+fusedev.Path+": "+err.Error(), ErrNoDevice, err)
	}
	return fd, err
}

// release closes all but the device.
func (d *directMount) release() {
	if d.pin >= 0 {
		_ = unix.Close(d.pin) // O_PATH: nothing can fail
		d.pin = -1
	}
	d.closeContext()
}

func (d *directMount) closeContext() {
	if d.context >= 0 {
		_ = unix.Close(d.context) // this ends what was made and not mounted
		d.context = -1
	}
}

// cleanup closes everything.
func (d *directMount) cleanup() {
	d.release()
	if d.file != nil {
		_ = d.file.Close() // nothing was written to it
	}
}

// createAndServe has the kernel make the mount, and then calls SyncInit.
func (d *directMount) createAndServe(ctx context.Context) (mtab.Entry, error) {
	entry, err := d.create(ctx)
	if err == nil {
		err = d.spec.serve(d.file, func() error { return errors.Join(d.spec.undo(ctx, entry), d.file.Close()) })
	}
	return entry, err
}

// refuseTimeout is for a mount that the kernel is to refuse.
const refuseTimeout = 2 * time.Second

// serveAndCreate calls SyncInit, and then has the kernel make the mount, which waits for
// the daemon. Once the caller may read the device a mount has to be tried, since nothing
// else would end that read. So after the end of the context the kernel gets an answer to
// FUSE_INIT from here.
func (d *directMount) serveAndCreate(ctx context.Context) (mtab.Entry, error) {
	s := d.spec
	if err := s.serve(d.file, func() error { d.cleanup(); return nil }); err != nil {
		return mtab.Entry{}, err
	}
	dup, err := unix.FcntlInt(uintptr(d.device), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		d.cleanup()
		return mtab.Entry{}, os.NewSyscallError("fcntl", err)
	}
	bounded, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(refuseTimeout, cancel)
		fuseinit.Refuse(dup, d.over)
	})
	entry, err := d.create(bounded)
	if stop() {
		_ = unix.Close(dup) // the file is still open
	}
	if ctx.Err() == nil || bounded.Err() != nil {
		return entry, err
	}
	if err == nil { // the daemon was faster
		err = errors.Join(s.undo(ctx, entry), d.file.Close())
	}
	return entry, errors.Join(fuseerr.Context(ctx), err)
}

// create makes and attaches the mount. If it fails, now or after the context's end,
// nothing is left.
func (d *directMount) create(ctx context.Context) (mtab.Entry, error) {
	f := func() (mtab.Entry, error) {
		entry, err := d.attach()
		close(d.over)
		d.release()
		if err != nil {
			d.cleanup()
		}
		return entry, err
	}
	late := func(entry mtab.Entry, err error) {
		if err == nil {
			_ = d.spec.undo(ctx, entry) // Mount has returned
			d.cleanup()
		}
	}
	if d.syncInit {
		return cancelable.Run(ctx, f, late)
	}
	return run(ctx, d.at, f, late)
}

// attach makes the file system and attaches it. With syncInit it waits for the daemon.
func (d *directMount) attach() (mtab.Entry, error) {
	if d.context >= 0 {
		e, err := d.attachContext()
		if err == nil || !unsupportedOrDenied(err) || d.syncInit {
			return e, err
		}
		// The device belongs to the file system that was made with it: open it again
		// under its number, which the file has.
		device, err := openDevice()
		if err == nil {
			err = errors.Join(unix.Dup3(device, d.device, unix.O_CLOEXEC), unix.Close(device))
		}
		if err != nil {
			return mtab.Entry{}, err
		}
	}
	mount := func(target string) error {
		return unix.Mount(d.params.Source, target, d.params.Type(), d.params.Flags(), d.params.Data(d.device))
	}
	err := mount(pathfd.Link(d.pin))
	if errors.Is(err, unix.ENOENT) { // without /proc there is only the path
		err = mount(d.at.path)
	}
	if err != nil {
		return mtab.Entry{}, wrap("mount(2): "+err.Error(), err)
	}
	e, found := d.at.servedBy(d.device, d.spec)
	if !found {
		return e, errors.New("the new mount is not in the mount table")
	}
	return e, nil
}

// attachContext uses the new mount API. The mount's descriptor keeps the mount busy, in
// this process and in its children, so no child may be started meanwhile.
func (d *directMount) attachContext() (e mtab.Entry, err error) {
	if err := unix.FsconfigCreate(d.context); err != nil {
		return e, d.explain(err)
	}
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	mount, err := unix.Fsmount(d.context, unix.FSMOUNT_CLOEXEC, d.params.Attributes())
	if err != nil {
		return e, d.explain(err)
	}
	defer func() { err = errors.Join(err, unix.Close(mount)) }()
	if err := unix.MoveMount(mount, "", d.pin, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH); err != nil {
		return e, wrap("move_mount: "+err.Error(), err)
	}
	e, _, err = mtab.ByFD(mount)
	return e, err
}

// explain adds what the kernel says about the context.
func (d *directMount) explain(err error) error {
	if err == nil {
		return nil
	}
	text := "mount: " + err.Error()
	if messages := fsparam.Messages(d.context); messages != "" {
		text += " (" + messages + ")"
	}
	return wrap(text, err)
}
