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
	"github.com/go-fusermount/fusermount/internal/secure"
)

// mountInTwoPhases is sync-init: the caller gets the device before there is a
// mount, says with one byte that he serves it, and is told how the mount went.
// A kernel that was asked to (FUSE_DEV_IOC_SYNC_INIT, Linux 6.18) attaches the
// mount only when the daemon has answered its first request.
func (h *helper) mountInTwoPhases(plan policy.Plan, device *mount.Device, at *mount.Mountpoint, socket int) error {
	if err := closeInherited(socket); err != nil {
		return err
	}
	prepared, err := mount.Prepare(plan, device, at)
	if err != nil {
		return err
	}
	if err := sendDevice(socket, device); err != nil {
		return err
	}
	mounted, err := h.secondPhase(prepared, device, at, socket)
	if err != nil {
		// He could kill us as soon as he hears of it, and keep a mount that should
		// not be.
		err = h.takeBack(err, mounted)
		if told := fdpass.SendStatus(socket, statusOf(err)); told != nil && !errors.Is(told, io.EOF) {
			err = fmt.Errorf("%w; and nobody could be told", err)
		}
		return err
	}
	recorded := h.record(plan, mounted)
	h.logDone("mounted")
	if err := tellSuccess(socket, mounted); err != nil {
		return h.takeBack(err, mounted)
	}
	return h.handedOver(plan, mounted, recorded, socket)
}

func tellSuccess(socket int, mounted *mount.Mounted) error {
	if err := mounted.Release(); err != nil {
		return err
	}
	if err := fdpass.SendStatus(socket, 0); err != nil {
		return fmt.Errorf("failed to send the status: %s", mount.Strerror(err))
	}
	return nil
}

// secondPhase waits for the caller and mounts.
func (h *helper) secondPhase(prepared *mount.Prepared, device *mount.Device, at *mount.Mountpoint, socket int) (*mount.Mounted, error) {
	limit := syncInitLimit()
	if err := fdpass.WaitByte(socket, limit); err != nil {
		return nil, waitError(err, "the caller did not answer")
	}
	wait := func(ended int) error {
		return waitError(fdpass.WaitWhileOpen(socket, ended, limit), "the daemon did not answer the kernel")
	}
	return prepared.Mount(wait, h.judgeAgain(at, device))
}

// waitError says in words why a wait ended without result. who is silent where
// nothing came in time.
func waitError(err error, silent string) error {
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("mount given up: the caller closed the socket: %w", err)
	case errors.Is(err, fdpass.ErrTimeout):
		return fmt.Errorf("mount given up: %s: %w", silent, unix.ETIMEDOUT)
	}
	return err
}

// statusOf is the error that the caller is told as a number.
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

// testLimit is set by the linker, for tests that wait for the limit: a
// duration. It counts only where the program lends its caller no rights.
var testLimit string

// syncInitLimit is how long the caller may take to answer, and his daemon to
// answer the kernel. Until then the process holds the right to mount, and the
// pinned mountpoint.
func syncInitLimit() time.Duration {
	const limit = 300 * time.Second
	if testLimit != "" && !secure.Execution() {
		if d, err := time.ParseDuration(testLimit); err == nil {
			return min(d, limit)
		}
	}
	return limit
}
