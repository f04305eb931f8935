//go:build linux

package fusermount

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/cancelable"
	"github.com/go-fusermount/fusermount/internal/connection"
	"github.com/go-fusermount/fusermount/internal/fusedev"
	"github.com/go-fusermount/fusermount/internal/fuseerr"
	"github.com/go-fusermount/fusermount/internal/fusemounts"
	"github.com/go-fusermount/fusermount/internal/helperproc"
	"github.com/go-fusermount/fusermount/internal/mountopts"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/resolve"
)

// snapshot is a mountpoint before anything is mounted there. It tells a mount that a
// helper has made from any other, should the helper have to be given up.
//
// To take it asks no daemon of the file system that lies at the mountpoint: descriptors
// are opened with O_PATH, and the kernel answers from its own tables. Only a daemon that
// serves a directory further up can make it wait.
type snapshot struct {
	path  string // resolved
	known bool
	below mtab.Entry
	root  bool // path is the root of below
	// cached says that to look up path and to mount there asks no daemon.
	cached bool
}

func takeSnapshot(ctx context.Context, mountpoint string) (snapshot, error) {
	asked := resolve.LookedUp(mountpoint)
	cached := ctx.Err() == nil && cancelable.LookupCached(asked)
	take := func() (at snapshot, err error) {
		if at.path, err = resolve.Path(mountpoint); err != nil {
			return at, wrap(err.Error(), ErrMountpoint, err)
		}
		e, isRoot, err := fusemounts.ByPath(at.path)
		at.below, at.root, at.known = e, isRoot, err == nil
		at.cached = at.known && !mountopts.IsFuse(e.Type) && (cached && at.path == asked || cancelable.LookupCached(at.path))
		return at, nil
	}
	if cached {
		return take()
	}
	return cancelable.Run(ctx, take, nil)
}

// isProc reports whether a mount would lie over this process's /proc.
func (at snapshot) isProc() bool {
	if !at.root || at.below.Type != "proc" {
		return false
	}
	e, isRoot, err := fusemounts.ByPath("/proc")
	return err == nil && isRoot && mtab.Same(e, at.below)
}

// newMount returns the mount that has appeared since, directly on top of what was there,
// and as it was asked for.
func (at snapshot) newMount(s *spec) (mtab.Entry, bool) {
	e, isRoot, err := fusemounts.ByPath(at.path)
	if err != nil || !isRoot || !at.known || !mountopts.IsFuse(e.Type) {
		return mtab.Entry{}, false
	}
	owner, _ := e.Owner()
	same := e.Unique == at.below.Unique && e.Parent == at.below.ID && owner == s.owner.UID &&
		(e.Source == "" || e.Source == s.direct.source() || e.Source == s.helper.source())
	return e, same
}

// servedBy finds the mount that a device serves. Where the kernel does not tell that, it
// is a mount that is new at the mountpoint.
func (at snapshot) servedBy(device int, s *spec) (mtab.Entry, bool) {
	number, known := fusedev.Connection(device)
	if !known {
		return at.newMount(s)
	}
	e, isRoot, err := fusemounts.ByPath(at.path)
	if err == nil && isRoot && mountopts.IsFuse(e.Type) && e.Connection() == number {
		return e, connection.IsMounted(device)
	}
	if e, found := byConnection(device); found {
		return e, true
	}
	return at.newMount(s)
}

// byConnection searches the whole table for a device's mount. Of several, which are bind
// mounts, the oldest is the one that was mounted. If the device is mounted afterwards,
// the number was its own all the time.
func byConnection(device int) (mtab.Entry, bool) {
	number, known := fusedev.Connection(device)
	if !known {
		return mtab.Entry{}, false
	}
	all, err := fusemounts.All()
	if err != nil {
		return mtab.Entry{}, false
	}
	for _, e := range all {
		if e.Connection() == number {
			return e, connection.IsMounted(device)
		}
	}
	return mtab.Entry{}, false
}

// maxStale bounds how many layers of dead mounts are taken away.
const maxStale = 100

// replaceStale takes away the owner's dead FUSE mounts at the mountpoint.
func (at snapshot) replaceStale(ctx context.Context, s *spec, mountpoint string) (snapshot, error) {
	for range maxStale {
		if stale, err := at.isStale(ctx, s); err != nil || !stale {
			return at, err
		}
		s.log().Debug("unmount what a dead daemon has left", "mountpoint", at.path)
		u := &unmounting{entry: at.below, user: s.user, options: s.unmountOptions(UnmountLazy)}
		if err := u.run(ctx); err != nil && !errors.Is(err, ErrNotMounted) {
			return at, wrap("the stale mount there could not be taken away: "+err.Error(), err)
		}
		var err error
		if at, err = takeSnapshot(ctx, mountpoint); err != nil {
			return at, err
		}
	}
	return at, nil
}

// isStale reports whether a dead mount of the owner's lies at the mountpoint.
func (at snapshot) isStale(ctx context.Context, s *spec) (bool, error) {
	e := at.below
	owner, known := e.Owner()
	if !at.root || !mountopts.IsFuse(e.Type) || !known || owner != s.owner.UID {
		return false, nil
	}
	judged, err := connection.Judge(ctx, s.user.onConnections(), connection.Options{Ask: true}, e)
	if err != nil || ctx.Err() != nil {
		return false, fuseerr.Context(ctx)
	}
	return judged[0].State == connection.Dead, nil
}

// addStale adds to a helper's refusal that a dead mount is in the way. libfuse's helper
// looks at the mountpoint with other ids than the caller's, which FUSE does not let in,
// so it can only say that this is forbidden.
func (at snapshot) addStale(ctx context.Context, s *spec, err error) error {
	var helper *helperproc.Error
	refused := errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOTCONN)
	if s.refused || !errors.As(err, &helper) || !refused || errors.Is(err, ErrStale) || ctx.Err() != nil {
		return err
	}
	if stale, other := at.isStale(ctx, s); other != nil || !stale {
		return err // that is the better error
	}
	return wrap(err.Error()+": "+ErrStale.Error(), err, ErrMountpoint, ErrStale, unix.ENOTCONN)
}
