package helper

import (
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fdpass"
	"github.com/go-fusermount/fusermount/internal/mount"
	"github.com/go-fusermount/fusermount/internal/policy"
)

// mountSyncInit sends the device before there is a mount, waits for one byte that says
// that it is served, mounts, and sends the result. A kernel that was asked to
// (FUSE_DEV_IOC_SYNC_INIT, Linux 6.18) creates the file system only when the daemon has
// answered INIT.
func mountSyncInit(r *run, plan policy.Plan, device *mount.Device, at *mount.Mountpoint, socket int) error {
	// The socket's other end may be among what was inherited. While it is open here, the
	// end of the caller does not show.
	if err := closeDescriptors(socket, isOwn); err != nil {
		return err
	}
	limit, err := time.ParseDuration(syncInitLimit)
	if err != nil {
		return err
	}
	sent := false
	begin := func() error {
		if err := sendDevice(socket, device); err != nil {
			return err
		}
		sent = true
		return waitError(fdpass.WaitByte(socket, limit), "the caller did not answer")
	}
	wait := func(ended int) error {
		return waitError(fdpass.WaitWhileOpen(socket, ended, limit), "the daemon did not answer the kernel")
	}
	mounted, err := mount.MountSyncInit(plan, device, at, begin, wait, reauthorize(r, at, device))
	if err != nil && !sent {
		return err // and no status: the caller has not even the device
	}
	if err != nil {
		// Before the status is sent: the caller could then kill this process, and keep a
		// mount that should not be.
		err = takeBack(r, err, mounted)
		if failed := fdpass.SendStatus(socket, statusOf(err)); failed != nil && !errors.Is(failed, io.EOF) {
			err = fmt.Errorf("%w; and nobody could be told", err)
		}
		return err
	}
	return handOver(r, plan, mounted, socket, func() error {
		if err := fdpass.SendStatus(socket, 0); err != nil {
			return errors.New("failed to send the status: " + mount.Strerror(err))
		}
		return nil
	})
}

// waitError says why a wait ended without result. silent is the case of a timeout.
func waitError(err error, silent string) error {
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("mount given up: the caller closed the socket: %w", err)
	case errors.Is(err, fdpass.ErrTimeout):
		return fmt.Errorf("mount given up: %s: %w", silent, unix.ETIMEDOUT)
	}
	return err
}

// statusOf is the error that is sent to the caller.
func statusOf(err error) unix.Errno {
	var errno unix.Errno
	var refusal *policy.Refusal
	switch {
	case errors.As(err, &errno) && errno != 0:
		return errno
	case errors.As(err, &refusal):
		return unix.EPERM
	}
	return unix.EIO
}

// syncInitLimit is how long the caller may take to answer, and the daemon to answer the
// kernel. Until then the process holds CAP_SYS_ADMIN and the pinned mountpoint. It is a
// text, so that the linker can set it for tests.
var syncInitLimit = "300s"
