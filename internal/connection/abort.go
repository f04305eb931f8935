package connection

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fuseerr"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/pathfd"
)

// AbortMount aborts the connection of a mount while connected has no error. The error is
// fuseerr.ErrNotMounted for one that has ended.
func AbortMount(e mtab.Entry, who Caller, connected func() error) error {
	if err := connected(); err != nil {
		return err
	}
	control, err := OpenAs(who)
	if err == nil {
		err = errors.Join(control.AbortIf(e.Connection(), connected), control.Close())
	}
	if errors.Is(err, unix.ENOENT) && errors.Is(connected(), fuseerr.ErrNotMounted) {
		return fuseerr.ErrNotMounted // it has just ended
	}
	if err == nil || !who.Admin || errors.Is(err, fuseerr.ErrNotMounted) {
		return err
	}
	if other := abortByForce(e); other != nil {
		return errors.Join(err, other)
	}
	return nil
}

// abortByForce starts a forced unmount, in which the kernel aborts the connection
// first. A descriptor keeps the mount busy meanwhile, so that it stays. This is for
// user namespaces, where there is no fusectl.
func abortByForce(e mtab.Entry) error {
	e, err := mtab.Reload(e) // it may have been moved
	if errors.Is(err, mtab.ErrNotListed) {
		err = fuseerr.ErrNotMounted
	}
	if err != nil {
		return err
	}
	fd, err := pathfd.Open(unix.AT_FDCWD, e.Mountpoint, unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if now, _, err := mtab.ByFD(fd); err != nil || !mtab.Same(now, e) {
		return fuseerr.Wrap(fuseerr.ErrCovered.Error(), fuseerr.ErrCovered, unix.EBUSY)
	}
	if err := unix.Unmount(pathfd.Link(fd), unix.MNT_FORCE); !errors.Is(err, unix.EBUSY) {
		return err
	}
	return nil
}
