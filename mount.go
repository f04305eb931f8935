package fusermount

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusedev"
	"github.com/go-fusermount/fusermount/internal/mtab"
)

// Mount attaches a FUSE file system at mountpoint, a directory or a regular
// file, and gives the device on which it is to be served. A symlink at its end
// is followed.
//
// A process with CAP_SYS_ADMIN mounts by itself, also as root of a user
// namespace; where the kernel does not let it, and in every other process, a
// helper mounts. [Options] can force either.
//
// A mountpoint /dev/fd/N stands for a device that somebody else opened and
// mounted: descriptor N is taken over, under a number of the Mounted's own, and
// nothing is mounted. Of the options only SyncInit counts then; without it a
// device that is not mounted is an ErrNotMounted, and a mount that comes only
// after SyncInit has returned is not known to the Mounted (see [Mounted.ID]). N is
// closed when Mount has succeeded. After any error it is still the caller's, and
// open.
//
// The caller serves the device at once: until then, whoever touches the
// mountpoint waits, this process included. Mount itself does not touch it.
//
// When the context ends, Mount gives up and takes back what was mounted. It
// returns soon, but for a helper that hangs: that one has a second to end by
// itself, and is then killed, for whose end Mount waits two more at most. The
// context means nothing for the mount once Mount has returned. The error is an
// [*Error].
func Mount(ctx context.Context, mountpoint string, opts *Options) (*Mounted, error) {
	m := &mounting{ctx: ctx, given: mountpoint, who: whoCalls()}
	mounted, err := m.run(opts)
	if err != nil {
		return nil, m.failure(err)
	}
	return mounted, nil
}

// mounting is one call of Mount.
type mounting struct {
	ctx   context.Context
	given string
	was   before
	who   caller
	r     *request

	helper *process // the last that was run, for the error
	// called says that SyncInit was: once is what it was promised.
	called bool
}

// undoLimit bounds what is done after the caller's context has ended.
const undoLimit = 5 * time.Second

func (m *mounting) run(opts *Options) (mounted *Mounted, err error) {
	if m.r, err = opts.resolve(); err != nil {
		return nil, err
	}
	if device, ok, err := adoptable(m.given); ok || err != nil {
		return m.adopt(device, err)
	}
	if m.given == "" { // a helper would not say what it lacks
		return nil, because("the mountpoint is empty", unix.ENOENT)
	}
	// With auto_unmount a process of the helper's has to stay anyway. It knows
	// best what to watch if it has mounted that itself.
	alone := m.r.ForceDirect || m.who.admin && !m.r.ForceHelper && !m.r.typed.AutoUnmount
	if !alone {
		if err := m.otherAllowed(); err != nil {
			return nil, err
		}
	}
	if m.was, err = lookUp(m.ctx, looksAt(m.given), func() (before, error) { return survey(m.given) }); err != nil {
		return nil, err
	}
	if m.r.ReplaceStale {
		if err := m.replaceStale(); err != nil {
			return nil, err
		}
	}
	if alone {
		mounted, err = m.directly()
		if err == nil || m.r.ForceDirect || m.called || !closedWay(err) || m.ctx.Err() != nil {
			return mounted, err
		}
	}
	mounted, other := m.byHelper()
	if errors.Is(other, ErrHelperNotFound) && err != nil {
		return nil, because(other.Error()+"; mounting without one: "+err.Error(), other, err)
	}
	return mounted, m.orStale(other)
}

// failure makes an Error of what went wrong.
func (m *mounting) failure(err error) error {
	e := &Error{Op: "mount", Path: m.given, Err: err}
	if m.helper != nil {
		e.Helper, e.ExitStatus, e.Messages = m.helper.path, m.helper.exitStatus(), m.helper.said.messages()
	}
	return e
}

// callBack has the caller's SyncInit start to serve the device.
func (m *mounting) callBack(file *os.File) error {
	if m.r.SyncInit == nil {
		return nil
	}
	m.called = true
	if err := m.r.SyncInit(file); err != nil {
		m.helper = nil // whatever it says of that, it is not its fault
		return because("SyncInit: "+err.Error(), err)
	}
	return nil
}

// undo takes back a mount of which the caller will not hear, whatever his context
// says, and in whatever way there is.
func (m *mounting) undo(e mtab.Entry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(m.ctx), undoLimit)
	defer cancel()
	u := unmounting{entry: e, who: m.who, options: m.unmountOptions(Lazy)}
	u.options.forceHelper, u.options.forceDirect, u.options.stderr = false, false, nil // Mount may have returned
	if err := u.run(ctx); err != nil && !errors.Is(err, ErrNotMounted) {
		return because("and the mount could not be taken back: "+err.Error(), err)
	}
	return nil
}

func (m *mounting) unmountOptions(policy Policy) unmountOptions {
	return unmountOptions{
		policy: policy, helper: m.r.Helper, stderr: m.r.Stderr,
		forceHelper: m.r.ForceHelper, forceDirect: m.r.ForceDirect,
	}
}

// newDevice makes a file of a device: blocking, and so not in the runtime's
// poller (see [Mounted.File]).
func newDevice(fd int) *os.File {
	_ = unix.SetNonblock(fd, false) // helpers open it so
	return os.NewFile(uintptr(fd), fusedev.Path)
}
