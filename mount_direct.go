//go:build linux

package fusermount

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/cancelable"
	"github.com/go-fusermount/fusermount/internal/directmount"
	"github.com/go-fusermount/fusermount/internal/fuseerr"
	"github.com/go-fusermount/fusermount/internal/fuseinit"
	"github.com/go-fusermount/fusermount/internal/mountopts"
)

// directWay mounts in this process.
type directWay struct{}

// mount runs its system calls outside of the goroutine that waits for the context, unless
// they ask no daemon: they may wait for those of other file systems, and with SyncInit
// for the one of this mount. Callbacks run in this goroutine.
func (directWay) mount(ctx context.Context, s *spec, at snapshot) (m *made, err error) {
	if !s.user.admin {
		return nil, wrap("mounting without a helper takes CAP_SYS_ADMIN: "+unix.EPERM.Error(), unix.EPERM)
	}
	watcher := ""
	if s.direct.AutoUnmount {
		if watcher, err = findHelper(ctx, s.Helper); err != nil {
			return nil, err
		}
	}
	request, warnings := s.request(at.path, mountopts.IsFuse(at.below.Type))
	d := &directMount{Mount: directmount.New(request), spec: s, at: at, over: make(chan struct{})}
	defer func() {
		if m == nil && !d.abandoned {
			err = errors.Join(err, d.undo(ctx))
		}
	}()
	if err := d.make(ctx); err != nil {
		return nil, err
	}
	made := &made{file: d.File, entry: d.Entry, direct: true, syncInit: d.SyncInit, warnings: warnings}
	if watcher != "" {
		if err := made.watch(ctx, s, watcher); err != nil {
			return nil, err
		}
	}
	d.Release()
	return made, nil
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
	*directmount.Mount
	spec *spec
	at   snapshot
	over chan struct{} // closed when there is the file system, or will be none
	// abandoned says that the context has ended during a step, which undoes all at its end.
	abandoned bool
}

// make makes the mount, and calls the callbacks.
func (d *directMount) make(ctx context.Context) error {
	s := d.spec
	if err := d.step(ctx, d.at.cached, d.Prepare); err != nil {
		return err
	}
	if !d.at.known {
		return errors.New("the mount table cannot be read: the mount could not be found again, and taken back")
	}
	var err error
	if d.SyncInit {
		err = d.serveAndCreate(ctx)
	} else {
		err = d.step(ctx, d.at.cached, d.Create)
	}
	if err == nil && s.BeforeAttach != nil {
		err = d.beforeAttach()
	}
	if err == nil {
		err = d.step(ctx, d.at.cached, d.attach)
	}
	if err != nil {
		return err
	}
	return s.serve(d.File)
}

// step runs f, in this goroutine if it asks no daemon.
func (d *directMount) step(ctx context.Context, here bool, f func() error) error {
	if here && ctx.Err() == nil {
		return f()
	}
	returned, err := cancelable.Run(ctx, func() (bool, error) { return true, f() },
		func(bool, error) { _ = d.undo(ctx) }) // Mount has returned
	d.abandoned = !returned
	return err
}

// undo leaves nothing behind.
func (d *directMount) undo(ctx context.Context) (err error) {
	if d.Entry.ID != 0 {
		err = d.spec.undo(ctx, d.Entry)
	}
	d.Release()
	if d.File != nil {
		err = errors.Join(err, d.spec.closeDevice(d.File))
	}
	return err
}

func (d *directMount) attach() error {
	err := d.Attach()
	if err != nil || d.Entry.ID != 0 {
		return err
	}
	found := false
	if d.Entry, found = d.at.servedBy(int(d.File.Fd()), d.spec); !found {
		return errors.New("the new mount is not in the mount table")
	}
	return nil
}

// beforeAttach calls the callbacks for a mount that is attached nowhere.
func (d *directMount) beforeAttach() error {
	err := d.spec.serve(d.File)
	if err == nil {
		err = d.Open()
	}
	if err != nil {
		return err
	}
	d.spec.refused = true // until it has returned
	if err := d.spec.BeforeAttach(d.Tree); err != nil {
		return wrap("BeforeAttach: "+err.Error(), err)
	}
	d.spec.refused = false
	return nil
}

// refuseTimeout is for a mount that the kernel is to refuse.
const refuseTimeout = 2 * time.Second

// serveAndCreate calls SyncInit, and then has the kernel make the file system, which waits
// for the daemon. Once the caller may read the device that has to be tried, since nothing
// else would end that read. So after the end of the context the kernel gets an answer to
// FUSE_INIT from here.
func (d *directMount) serveAndCreate(ctx context.Context) error {
	dup, err := unix.FcntlInt(d.File.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	stop := func() bool { return true }
	defer func() {
		if stop() {
			_ = unix.Close(dup) // the file is still open
		}
	}()
	if err := d.spec.serve(d.File); err != nil {
		return err
	}
	bounded, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop = context.AfterFunc(ctx, func() {
		time.AfterFunc(refuseTimeout, cancel)
		fuseinit.Refuse(dup, d.over)
	})
	err = d.step(bounded, false, func() error {
		defer close(d.over)
		return d.Create()
	})
	if bounded.Err() != nil {
		return err
	}
	return errors.Join(fuseerr.Context(ctx), err)
}
