//go:build linux

package fusermount

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/ask"
	"github.com/go-fusermount/fusermount/internal/cancelable"
	"github.com/go-fusermount/fusermount/internal/directmount"
	"github.com/go-fusermount/fusermount/internal/fuseerr"
	"github.com/go-fusermount/fusermount/internal/fusemounts"
	"github.com/go-fusermount/fusermount/internal/helperproc"
	"github.com/go-fusermount/fusermount/internal/keylock"
	"github.com/go-fusermount/fusermount/internal/mountopts"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/resolve"
	"github.com/go-fusermount/fusermount/internal/wire"
)

// Unmount unmounts the FUSE mount that lies topmost at path when it is called, as
// [Mounted.Unmount] does. Its daemon may be dead or hang. The error is an [*Error].
func Unmount(ctx context.Context, path string, opts *UnmountOptions) error {
	u := &unmounting{user: currentCaller(), options: opts.over(UnmountOptions{})}
	var err error
	if u.entry, err = fuseMountAt(ctx, path); err == nil {
		err = u.run(ctx)
	}
	if err != nil {
		return newError("unmount", path, err)
	}
	return nil
}

// fuseMountAt returns the topmost mount at a path, which has to be FUSE.
func fuseMountAt(ctx context.Context, path string) (mtab.Entry, error) {
	return cancelable.Lookup(ctx, resolve.LookedUp(path), func() (e mtab.Entry, err error) {
		isRoot := false
		if path, err = resolve.Path(path); err == nil {
			e, isRoot, err = fusemounts.ByPath(path)
		}
		switch {
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
			return e, wrap(err.Error(), ErrNotMounted, err)
		case err != nil:
			return e, err
		case !isRoot:
			return e, wrap("nothing is mounted there", ErrNotMounted)
		case !mountopts.IsFuse(e.Type):
			return e, wrap("what is mounted there is of type "+e.Type+", not FUSE", ErrNotMounted)
		}
		return e, nil
	})
}

// unmounting is one unmount of one mount.
type unmounting struct {
	entry   mtab.Entry
	user    caller
	options UnmountOptions
	// unmountedThere says of a mount in a foreign namespace that it was unmounted.
	unmountedThere *atomic.Bool
}

func (u *unmounting) log() *slog.Logger { return logTo(u.options.Logger) }

// run unmounts by the policy.
func (u *unmounting) run(ctx context.Context) error { return u.retry(ctx, u.once) }

// A mount does not tell when it is busy no longer: there is nothing to wait for but time.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = 250 * time.Millisecond
)

func (u *unmounting) retry(ctx context.Context, once func(context.Context) error) error {
	if err := u.options.check(); err != nil {
		return err
	}
	var busy error
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := once(ctx)
		if u.options.Policy != UnmountRetry || !errors.Is(err, unix.EBUSY) {
			if err != nil && ctx.Err() != nil {
				err = errors.Join(busy, err) // the context ended during another try
			}
			return err
		}
		busy = err
		select {
		case <-ctx.Done():
			return errors.Join(busy, fuseerr.Context(ctx))
		case <-time.After(pause):
		}
	}
}

// once tries once, directly if this process may, as for a mount.
func (u *unmounting) once(ctx context.Context) error {
	if u.options.Method != MethodDirect && (u.options.Method != MethodAuto || !u.user.admin) {
		return u.byOther(ctx)
	}
	err := u.directly(ctx)
	if err == nil || u.options.Method == MethodDirect || !directmount.UnsupportedOrDenied(err) || ctx.Err() != nil {
		return err
	}
	u.log().Debug("direct unmount is unsupported or denied, trying a helper", "mountpoint", u.entry.Mountpoint, "err", err)
	other := u.byOther(ctx)
	if errors.Is(other, ErrHelperNotFound) {
		return err
	}
	return other
}

// directly unmounts by umount2(2), which may have to wait for the daemon to write what is
// not written yet. That call holds the lock, also after the end of the context; it is not
// made any more if the context has ended before.
func (u *unmounting) directly(ctx context.Context) error {
	_, err := cancelable.Run(ctx, func() (struct{}, error) {
		unlock, err := u.lock(ctx)
		if err != nil {
			return struct{}{}, err
		}
		defer unlock()
		return struct{}{}, u.umount()
	}, nil)
	return err
}

func (u *unmounting) umount() error {
	path, err := u.verifyTopmost()
	if err != nil {
		return err
	}
	flags := unix.UMOUNT_NOFOLLOW
	if u.options.Policy == UnmountLazy {
		flags |= unix.MNT_DETACH
	}
	err = unix.Unmount(path, flags)
	if err == nil {
		return u.confirm()
	}
	if errors.Is(err, unix.EINVAL) && u.confirm() == nil { // another process was faster
		return ErrNotMounted
	}
	return wrap("umount: "+err.Error(), err)
}

// verifyTopmost returns the mountpoint if the mount is still there, and topmost.
func (u *unmounting) verifyTopmost() (path string, err error) {
	path = u.entry.Mountpoint
	top, isRoot, err := fusemounts.ByPath(path)
	if err == nil && isRoot && mtab.Same(top, u.entry) {
		return path, nil
	}
	now, err := mtab.Reload(u.entry)
	if errors.Is(err, mtab.ErrNotListed) {
		return "", ErrNotMounted
	}
	if err != nil {
		return "", err
	}
	if path = now.Mountpoint; path == "" {
		return "", wrap("it lies outside of this process's root directory", unix.ENOENT)
	}
	top, isRoot, err = fusemounts.ByPath(path) // it may have been moved
	switch {
	case err == nil && isRoot && mtab.Same(top, u.entry):
		return path, nil
	case err == nil:
		return "", wrap(ErrCovered.Error()+" of "+path+", of type "+top.Type, ErrCovered, unix.EBUSY)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return "", wrap(ErrCovered.Error()+" of "+path, ErrCovered, unix.EBUSY)
	}
	return "", err
}

// confirm returns an error unless the mount is gone.
func (u *unmounting) confirm() error {
	if _, err := mtab.Reload(u.entry); err == nil {
		return wrap("another mount was exchanged for this one meanwhile, and was unmounted in its place", ErrCovered)
	}
	return nil
}

// inForeignNamespace has a helper unmount what lies in another mount namespace. A mount
// in this one at the same path is another one.
func (u *unmounting) inForeignNamespace(ctx context.Context) error {
	path := u.entry.Mountpoint
	here, err := cancelable.Lookup(ctx, path, func() (bool, error) {
		e, isRoot, err := fusemounts.ByPath(path)
		return err == nil && isRoot && mountopts.IsFuse(e.Type), nil
	})
	if err != nil {
		return err
	}
	if here {
		return wrap("it lies in another mount namespace, and another mount here", ErrNotMounted)
	}
	return u.byHelper(ctx, false)
}

// byOther has the mount service unmount, or a helper.
func (u *unmounting) byOther(ctx context.Context) error {
	method := u.options.Method
	if method == MethodService || method == MethodAuto && u.options.Helper == "" {
		err := u.byHelper(ctx, true)
		if method == MethodService || !errors.Is(err, ask.ErrNoService) {
			return err
		}
	}
	return u.byHelper(ctx, false)
}

// byHelper has a helper unmount, or the mount service. It checks the mount right before that; for
// a mount in a foreign namespace only the helper can.
func (u *unmounting) byHelper(ctx context.Context, service bool) (err error) {
	program := ""
	if !service {
		if program, err = findHelper(ctx, u.options.Helper); err != nil {
			return err
		}
	}
	unlock, err := u.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	path := u.entry.Mountpoint
	switch {
	case u.entry.ID != 0:
		path, err = cancelable.Lookup(ctx, path, u.verifyTopmost)
	case u.unmountedThere.Load():
		err = ErrNotMounted
	}
	if err != nil {
		return err
	}
	p, err := u.start(ctx, program, path)
	if err != nil {
		return err
	}
	err = p.Wait()
	p.End(nil)
	if err != nil {
		return p.Fail(err)
	}
	switch {
	case p.StatusLost() && u.entry.ID == 0 && len(p.Messages()) == 0: // nothing else tells the result
	case p.ExitStatus() != 0:
		return p.Fail(u.unlessGone(p.Reason()))
	case u.entry.ID != 0:
		err := u.confirm()
		if err == nil {
			warn(u.log(), "helper: ", p.Messages())
		}
		return p.Fail(err)
	}
	u.unmountedThere.Store(true)
	return nil
}

// start runs the helper, or asks the service if there is none.
func (u *unmounting) start(ctx context.Context, program, path string) (*helperproc.Proc, error) {
	lazy := u.options.Policy == UnmountLazy
	if program == "" {
		r := wire.Request{Op: wire.Unmount}
		if lazy {
			r.Flags = wire.Lazy
		}
		return askService(ctx, u.log(), r, path, cancelable.LookupCached(filepath.Dir(path)))
	}
	args := []string{"-u", "--", path}
	if lazy {
		args = []string{"-u", "-z", "--", path}
	}
	return runHelper(ctx, u.log(), program, args...)
}

// unlessGone drops a helper's failure if the mount is gone: a wrapper may fail after its
// helper has unmounted. A helper that found no mount was slower than another process.
func (u *unmounting) unlessGone(failure error) error {
	if u.entry.ID == 0 || errors.Is(failure, ErrNotMounted) || !isGone(u.entry) {
		return failure
	}
	return nil
}

// isGone reports whether a mount is known to have left the table.
func isGone(e mtab.Entry) bool {
	_, err := mtab.Reload(e)
	return errors.Is(err, mtab.ErrNotListed)
}

// unmountLocks has the unmounts of one mount in this process follow each other. A mount
// is known by its id and unmounted by its path: of two at once the second would unmount
// what lies beneath, if the first came between its check of the id and its system call.
var unmountLocks keylock.Table[lockKey]

// lockKey is a mount: its id, or its path in a foreign namespace.
type lockKey struct {
	id     uint64
	unique bool
	path   string
}

// lock does not wait for what the kernel still does about a mount that has left the
// table: then the error is ErrNotMounted.
func (u *unmounting) lock(ctx context.Context) (unlock func(), err error) {
	e := u.entry
	key := lockKey{id: e.ID, unique: e.Unique}
	if e.ID == 0 {
		key.path = e.Mountpoint
	}
	return unmountLocks.Lock(ctx, key, func() error {
		if e.ID != 0 && isGone(e) {
			return ErrNotMounted
		}
		return nil
	})
}
