package fusermount

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// connectionsPath is where fusectl is mounted usually: one directory for each
// connection, with files for its owner.
const connectionsPath = "/sys/fs/fuse/connections"

// Abort ends the kernel's connection with the daemon of the FUSE mount that lies
// topmost at path, which need not answer for that: everybody who waits for it
// gets an error, which frees processes that nothing else would, and the daemon
// gets ENODEV. The mount stays, and is dead; see [Unmount].
//
// It may be done by the mount's owner where fusectl is mounted on
// /sys/fs/fuse/connections, and by whoever has CAP_SYS_ADMIN. The error is an
// [*Error]; an ErrNotMounted where there is no FUSE mount at path.
func Abort(ctx context.Context, path string) error {
	e, err := fuseMountAt(ctx, path)
	if err == nil {
		err = abortConnection(e, whoCalls())
	}
	if err != nil {
		return &Error{Op: "abort", Path: path, Err: err}
	}
	return nil
}

// Abort ends the kernel's connection with the daemon, which may hang: everybody
// who waits for it gets an error, and the mount stays and is dead. See [Abort].
func (m *Mounted) Abort() error {
	if !m.known {
		return &Error{Op: "abort", Path: m.path, Err: ErrNotMounted}
	}
	if err := abortConnection(m.entry, whoCalls()); err != nil {
		return &Error{Op: "abort", Path: m.path, Err: err}
	}
	return nil
}

func abortConnection(e mtab.Entry, who caller) error {
	err := abortIn(unix.AT_FDCWD, connectionsPath+"/", e)
	if err == nil || !who.admin {
		return err
	}
	if other := abortPrivately(e); other == nil {
		return nil
	}
	if other := abortByForce(e); other != nil {
		return also(err, other)
	}
	return nil
}

// abortIn writes to a connection's file below dir.
func abortIn(fd int, dir string, e mtab.Entry) error {
	name := dir + strconv.FormatUint(connection(e), 10) + "/abort"
	file, err := unix.Openat(fd, name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return because("fusectl is not mounted on "+connectionsPath+": "+err.Error(), err)
	}
	if err != nil {
		return because("open "+name+": "+err.Error(), err)
	}
	_, err = unix.Write(file, []byte("1"))
	return errors.Join(err, unix.Close(file))
}

// abortPrivately uses a fusectl of our own that is attached nowhere.
func abortPrivately(e mtab.Entry) error {
	context, err := unix.Fsopen("fusectl", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(context)
	if err := unix.FsconfigCreate(context); err != nil {
		return err
	}
	mount, err := unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(mount)
	return abortIn(mount, "", e)
}

// abortByForce has the kernel begin a forced unmount, whose first act is to
// abort the connection. Our own descriptor keeps the mount busy meanwhile, so
// that it stays. This is for user namespaces, where there is no fusectl.
func abortByForce(e mtab.Entry) error {
	fd, err := openPath(e.Mountpoint, unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if now, _, err := mtab.Of(fd); err != nil || !mtab.Same(now, e) {
		return because(ErrCovered.Error(), ErrCovered, unix.EBUSY)
	}
	if err := unix.Unmount(procFD(fd), unix.MNT_FORCE); !errors.Is(err, unix.EBUSY) {
		return err
	}
	return nil
}

// waitingFor gives the number of requests that a mount's daemon has not
// answered, if fusectl tells.
func waitingFor(e mtab.Entry) (n int, known bool) {
	text, err := rawfile.Text(connectionsPath + "/" + strconv.FormatUint(connection(e), 10) + "/waiting")
	if err != nil {
		return 0, false
	}
	n, err = strconv.Atoi(strings.TrimSpace(text))
	return n, err == nil
}
