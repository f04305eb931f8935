package fusermount

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mountopts"
	"github.com/go-fusermount/fusermount/internal/mtab"
)

// Unmount unmounts the FUSE mount that lies topmost at path when it is called,
// whose daemon may be dead or hang: nobody asks it. Everything else is as for
// [Mounted.Unmount]. The error is an [*Error]; an ErrNotMounted where there is no
// FUSE mount at path.
func Unmount(ctx context.Context, path string, opts ...UnmountOption) error {
	u := &unmounting{who: whoCalls()}
	for _, option := range opts {
		option.apply(&u.options)
	}
	var err error
	if u.entry, err = fuseMountAt(ctx, path); err == nil {
		err = u.run(ctx)
	}
	if err != nil {
		return u.failure(path, err)
	}
	return nil
}

// fuseMountAt gives the topmost mount at a path, which is to be FUSE.
func fuseMountAt(ctx context.Context, path string) (mtab.Entry, error) {
	return lookUp(ctx, looksAt(path), func() (e mtab.Entry, err error) {
		isRoot := false
		if path, err = resolved(path); err == nil {
			e, isRoot, err = mtab.ByPath(path)
		}
		switch {
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
			return e, because(err.Error(), ErrNotMounted, err)
		case err != nil:
			return e, err
		case !isRoot:
			return e, because("nothing is mounted there", ErrNotMounted)
		case !mountopts.IsFuse(e.Type):
			return e, because("what is mounted there is of type "+e.Type+", not FUSE", ErrNotMounted)
		}
		return e, nil
	})
}

// unmounting is one unmount of one mount.
type unmounting struct {
	entry   mtab.Entry
	who     caller
	options unmountOptions
	helper  *process // the last that was run, for the error
	// left says of a mount that is in no table of ours that it was unmounted.
	left *atomic.Bool
}

func (u *unmounting) failure(path string, err error) error {
	e := &Error{Op: "unmount", Path: path, Err: err}
	if u.helper != nil {
		e.Helper, e.ExitStatus, e.Messages = u.helper.path, u.helper.exitStatus(), u.helper.said.messages()
	}
	return e
}

// run unmounts by the policy.
func (u *unmounting) run(ctx context.Context) error { return u.retry(ctx, u.once) }

// A busy mount tells nobody when it is no longer: there is nothing to wait for
// but time.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = 250 * time.Millisecond
)

func (u *unmounting) retry(ctx context.Context, once func(context.Context) error) error {
	if u.options.policy < Fail || u.options.policy > Lazy {
		return because("there is no such policy", unix.EINVAL)
	}
	var busy error
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := once(ctx)
		if u.options.policy != Retry || !errors.Is(err, unix.EBUSY) {
			if err != nil && ctx.Err() != nil {
				err = also(busy, err) // the end came while it was tried again
			}
			return err
		}
		busy = err
		select {
		case <-ctx.Done():
			return also(busy, whyEnded(ctx))
		case <-time.After(pause):
		}
	}
}

// once tries once: by itself if it may, as for a mount.
func (u *unmounting) once(ctx context.Context) error {
	u.helper = nil
	if u.options.forceDirect || u.who.admin && !u.options.forceHelper {
		err := u.directly(ctx)
		if err == nil || u.options.forceDirect || !closedWay(err) || ctx.Err() != nil {
			return err
		}
		other := u.byHelper(ctx)
		if errors.Is(other, ErrHelperNotFound) {
			return err
		}
		return other
	}
	return u.byHelper(ctx)
}

// directly unmounts by umount2, which may have to wait for the daemon to write
// what is not written yet. The turn is that call's, also when the context has
// ended meanwhile; a call that was not made by then is not made any more.
func (u *unmounting) directly(ctx context.Context) error {
	_, err := await(ctx, func() (struct{}, error) {
		release, err := turns.take(ctx, u.entry)
		if err != nil {
			return struct{}{}, err
		}
		defer release()
		return struct{}{}, u.umount()
	}, func(struct{}, error) {})
	return err
}

func (u *unmounting) umount() error {
	path, err := u.check()
	if err != nil {
		return err
	}
	flags := unix.UMOUNT_NOFOLLOW
	if u.options.policy == Lazy {
		flags |= unix.MNT_DETACH
	}
	err = unix.Unmount(path, flags)
	if err == nil {
		return u.confirm()
	}
	if errors.Is(err, unix.EINVAL) && u.confirm() == nil { // somebody was faster
		return ErrNotMounted
	}
	return because("umount: "+err.Error(), err)
}

// check looks whether the mount is still there and topmost at its mountpoint,
// and gives that.
func (u *unmounting) check() (path string, err error) {
	path = u.entry.Mountpoint
	top, isRoot, err := mtab.ByPath(path)
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
		return "", because("it lies outside of this process's root directory", unix.ENOENT)
	}
	// It was moved.
	top, isRoot, err = mtab.ByPath(path)
	switch {
	case err == nil && isRoot && mtab.Same(top, u.entry):
		return path, nil
	case err == nil:
		return "", because(ErrCovered.Error()+" of "+path+", of type "+top.Type, ErrCovered, unix.EBUSY)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return "", because(ErrCovered.Error()+" of "+path, ErrCovered, unix.EBUSY)
	}
	return "", err
}

// confirm wants the mount to be gone.
func (u *unmounting) confirm() error {
	if _, err := mtab.Reload(u.entry); err == nil {
		return because("another mount was exchanged for this one meanwhile, and was unmounted in its place", ErrCovered)
	}
	return nil
}
