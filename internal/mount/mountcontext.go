package mount

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fsparam"
)

// mountByContext mounts with fsopen, fsconfig, fsmount and move_mount, and
// gives the descriptor of the mount.
func mountByContext(t fsparam.Params, d *Device, at *Mountpoint, last func() error) (int, error) {
	context, err := openContext(t, d)
	if err != nil {
		return -1, err
	}
	defer unix.Close(context)
	if err := fsconfigCreate(context); err != nil {
		return -1, &MountError{Errno: err, Message: fsparam.Messages(context)}
	}
	return attach(context, t, at, last)
}

// openContext describes the file system to the kernel.
func openContext(t fsparam.Params, d *Device) (context int, err error) {
	context, err = fsopen(t.Driver())
	if err != nil {
		return -1, &MountError{Errno: err}
	}
	if err := t.Configure(context, d.fd); err != nil {
		message := fsparam.Messages(context)
		return -1, &MountError{Errno: errors.Join(err, unix.Close(context)), Message: message}
	}
	return context, nil
}

// attach mounts the file system that was created in context over the pinned
// mountpoint. Signals are held from then on.
func attach(context int, t fsparam.Params, at *Mountpoint, last func() error) (fd int, err error) {
	fd, err = fsmount(context, t.Attributes())
	if err != nil {
		return -1, &MountError{Errno: err, Message: fsparam.Messages(context)}
	}
	if err := at.ready(last); err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	if err := heldIfDone(func() error { return moveMount(fd, at.fd) }); err != nil {
		return -1, &MountError{Errno: errors.Join(err, unix.Close(fd))}
	}
	return fd, nil
}
