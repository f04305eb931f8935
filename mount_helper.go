//go:build linux

package fusermount

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/cancelable"
	"github.com/go-fusermount/fusermount/internal/connection"
	"github.com/go-fusermount/fusermount/internal/fusedev"
	"github.com/go-fusermount/fusermount/internal/fuseerr"
	"github.com/go-fusermount/fusermount/internal/helperproc"
	"github.com/go-fusermount/fusermount/internal/wire"
)

// helperWay has a helper mount, or the mount service, which does the same.
type helperWay struct{ service bool }

func (w helperWay) mount(ctx context.Context, s *spec, at snapshot) (*made, error) {
	h := &helperMount{ctx: ctx, spec: s, at: at}
	if !w.service {
		err := s.checkAllowOther()
		if err == nil {
			h.path, err = findHelper(ctx, s.Helper)
		}
		if err != nil {
			return nil, err
		}
	}
	m, err := h.mount()
	if err != nil {
		return nil, at.addStale(ctx, s, err)
	}
	return m, nil
}

// helperMount is one mount by a helper.
type helperMount struct {
	ctx  context.Context
	spec *spec
	at   snapshot
	path string // the helper; empty for the mount service
}

// mount runs a helper, with SyncInit perhaps two. As in libfuse a helper that does not
// know --sync-init, or cannot do it here, ends without having sent a device, and is run
// again without the flag.
func (h *helperMount) mount() (*made, error) {
	if h.spec.SyncInit == nil {
		return h.mountOnce()
	}
	m, unsupported, err := h.mountSyncInit()
	if !unsupported {
		return m, err
	}
	if err := fuseerr.Context(h.ctx); err != nil {
		return nil, err // the helper's messages do not matter
	}
	h.spec.log().Debug("the helper cannot mount with --sync-init, running it without", "err", err)
	return h.mountOnce()
}

func (h *helperMount) start(flags ...string) (*helperproc.Proc, error) {
	if h.path == "" {
		return h.ask(len(flags) > 0)
	}
	args, err := h.spec.arguments(h.at.path, flags...)
	if err != nil {
		return nil, err
	}
	return runHelper(h.ctx, h.spec.log(), h.path, args...)
}

// ask asks the mount service.
func (h *helperMount) ask(syncInit bool) (*helperproc.Proc, error) {
	r := wire.Request{Op: wire.Mount}
	r.SetOptions(h.spec.helper.Options)
	if syncInit {
		r.Flags |= wire.SyncInit
	}
	return askService(h.ctx, h.spec.log(), r, h.at.path, h.at.cached)
}

// askService asks the mount service. Where a lookup may wait for a daemon, it is made outside of this
// goroutine.
func askService(ctx context.Context, log *slog.Logger, r wire.Request, path string, cached bool) (*helperproc.Proc, error) {
	p, err := helperproc.Connect(ctx)
	if err != nil {
		return nil, err
	}
	log.Debug("ask the mount service", "mountpoint", path)
	ask := func() (*helperproc.Proc, error) { return p, helperproc.Ask(p, r, path) }
	if cached {
		return ask()
	}
	return cancelable.Run(ctx, ask, func(asked *helperproc.Proc, err error) {
		switch {
		case asked == nil: // the context ended before
			helperproc.Disconnect(p)
		case err == nil:
			p.End(nil)
		}
	})
}

// mountOnce runs a helper that mounts and then sends the device.
func (h *helperMount) mountOnce() (*made, error) {
	p, err := h.start()
	if err != nil {
		return nil, err
	}
	device, err := p.ReceiveDevice()
	switch {
	case err != nil:
	case !fusedev.Is(device):
		err = wrap("it sent something that is not the fuse device", ErrBadReply)
	case !connection.IsMounted(device):
		err = wrap("it sent a device that is not mounted", ErrBadReply)
	}
	if err != nil {
		err = h.cleanup(p, device, err)
		if device >= 0 {
			_ = unix.Close(device) // nothing was written to it
		}
		return nil, p.Fail(err)
	}
	return h.serveMounted(h.take(p, newDevice(device), device))
}

// serveMounted calls SyncInit for what the helper has mounted.
func (h *helperMount) serveMounted(mounted *made) (m *made, err error) {
	defer func() {
		if m == nil {
			err = errors.Join(err, h.undo(mounted))
		}
	}()
	if err := h.spec.serve(mounted.file); err != nil {
		return nil, err
	}
	return mounted, nil
}

// mountSyncInit runs a helper with --sync-init: it sends the device, mounts when it is
// told that the device is served, and then sends the result. unsupported says that the
// helper ended before it sent anything.
func (h *helperMount) mountSyncInit() (m *made, unsupported bool, err error) {
	p, err := h.start("--sync-init")
	if err != nil {
		return nil, false, err
	}
	device, err := p.ReceiveDevice()
	if err == nil && !fusedev.Is(device) {
		err = errors.Join(wrap("it sent something that is not the fuse device", ErrBadReply), unix.Close(device))
	}
	if err != nil {
		nothing := errors.Is(err, io.EOF)
		err = h.cleanup(p, -1, err)
		return nil, nothing && (p.StatusLost() || p.ExitStatus() > 0), p.Fail(err)
	}
	if m, err = h.serveAndMount(p, newDevice(device), device); err != nil {
		return nil, false, err
	}
	if !m.syncInit {
		m, err = h.serveMounted(m)
	}
	return m, false, err
}

// serveAndMount calls SyncInit, if the kernel can ask its daemon first, and has the
// helper mount.
func (h *helperMount) serveAndMount(p *helperproc.Proc, file *os.File, device int) (m *made, err error) {
	defer func() {
		switch {
		case m != nil:
		case h.spec.refused: // whatever the error is, the helper did not cause it
			err = errors.Join(err, h.cleanup(p, device, nil), h.spec.closeDevice(file))
		default:
			err = p.Fail(errors.Join(h.cleanup(p, device, err), h.spec.closeDevice(file)))
		}
	}()
	syncInit := connection.SyncInit(device) == nil
	if syncInit {
		if err := h.spec.serve(file); err != nil {
			return nil, err
		}
	}
	if err := h.mountNow(p, device, syncInit); err != nil {
		return nil, err
	}
	m = h.take(p, file, device)
	m.syncInit = syncInit
	return m, nil
}

// mountNow has the helper mount.
func (h *helperMount) mountNow(p *helperproc.Proc, device int, syncInit bool) error {
	err := p.MountNow()
	if ended := fuseerr.Context(h.ctx); err != nil && ended != nil && syncInit {
		return errors.Join(ended, p.RefuseInit(device))
	}
	if err == nil && !connection.IsMounted(device) {
		err = wrap("its device is not mounted", ErrBadReply)
	}
	return err
}

// take returns what the helper has made. Nothing that the helper does from here on
// changes that, and nothing waits for its end.
func (h *helperMount) take(p *helperproc.Proc, file *os.File, device int) *made {
	entry, found := h.at.servedBy(device, h.spec)
	m := &made{file: file, entry: entry, service: h.path == "", foreignNamespace: !found && connection.IsMounted(device)}
	if h.spec.helper.AutoUnmount {
		p.Keep()
		m.keeper, m.warnings = p, p.Messages()
	} else {
		m.warnings, m.leaving = p.Dismiss(), p.Gone()
	}
	return m
}

// undo unmounts what the helper has made, and closes the device.
func (h *helperMount) undo(m *made) error {
	file := m.file
	m.file = nil
	err := newMounted(h.spec, h.at, m).Close()
	return errors.Join(err, h.spec.closeDevice(file))
}

// cleanup ends a helper that failed or is not wanted any more, and takes back what it has
// mounted. A helper that ends by itself with an error does that itself; for any other the
// mount is found by its device or, where it sent none, by what has appeared at the
// mountpoint. device stays open, and may be -1. cleanup returns why the helper failed:
// err, or for io.EOF, which says that the helper ended, the helper's reason.
func (h *helperMount) cleanup(p *helperproc.Proc, device int, err error) error {
	if errors.Is(err, io.EOF) { // its messages are worth the time that the caller has
		if waited := p.Wait(); waited != nil {
			err = waited
		}
	}
	entry, found := byConnection(device)
	p.End(func(late int) {
		if !found {
			entry, found = byConnection(late)
		}
	})
	if !found && (!errors.Is(err, io.EOF) || p.ExitStatus() <= 0) {
		entry, found = h.at.newMount(h.spec)
	}
	if errors.Is(err, io.EOF) {
		err = p.Reason()
	} else if errors.Is(err, helperproc.ErrReply) {
		err = wrap(err.Error(), ErrBadReply)
	}
	if found {
		err = errors.Join(err, h.spec.undo(h.ctx, entry))
	}
	return err
}

// newDevice makes a file of a device: blocking, and so not in the runtime's poller (see
// [Mounted.File]).
func newDevice(fd int) *os.File {
	_ = unix.SetNonblock(fd, false) // helpers open it non-blocking
	return os.NewFile(uintptr(fd), fusedev.Path)
}

// FindHelper returns the helper that Mount and Unmount run when none is named: the program
// in $FUSERMOUNT_PROG, if that is set; else fusermount3, then fusermount, in the absolute
// directories of PATH; else the same two in /run/wrappers/bin (NixOS), /usr/local/bin,
// /usr/bin and /bin. A program that runs with more rights than its caller has (set-uid,
// file capabilities) only looks in the last four. The error is a [*HelperNotFoundError].
func FindHelper() (string, error) { return findHelper(context.Background(), "") }

// findHelper is FindHelper for a caller who may have named a helper.
func findHelper(ctx context.Context, named string) (string, error) {
	path, err := helperproc.Find(ctx, named)
	var notFound *helperproc.NotFoundError
	if errors.As(err, &notFound) {
		err = &HelperNotFoundError{Searched: notFound.Searched, denied: notFound.Denied}
	}
	return path, err
}
