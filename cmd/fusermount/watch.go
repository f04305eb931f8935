package main

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/kernel"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/priv"
)

// watchMounted is --auto-unmount: somebody else mounted, and the topmost mount
// at the mountpoint is watched if it is the caller's FUSE file system.
func (h *helper) watchMounted() error {
	if err := h.narrow(false); err != nil {
		return err
	}
	socket, err := h.commSocket()
	if err != nil {
		return err
	}
	target, err := h.target()
	if err != nil {
		return err
	}
	if _, err := h.judge(target, true); err != nil {
		return err
	}
	entry, _ := target.Entry()
	return h.watch(socket, entry)
}

// watch is what auto_unmount adds to a mount: the process stays until the
// caller's daemon is gone, and takes the mount away if it died. It leaves the
// caller's session and waits for the socket to close; nobody reads messages from
// then on, so what fails is only logged.
func (h *helper) watch(socket int, watched mtab.Entry) error {
	if err := priv.KeepOnly(priv.SysAdmin); err != nil {
		return err
	}
	if err := leave(socket); err != nil {
		return err
	}
	h.report.mute()
	waitClosed(socket)
	if err := h.cleanUp(watched); err != nil {
		h.logRefusal("automatic unmount", watched.Mountpoint, err)
		return err
	}
	return nil
}

// waitClosed waits until nobody holds the socket's other end. What arrives on
// it is of no interest. The caller may have made the socket non-blocking.
func waitClosed(socket int) {
	buf := make([]byte, 256)
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(socket), Events: unix.POLLIN}}, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		n, _, err := unix.Recvfrom(socket, buf, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
		case err != nil, n == 0 && hungUp(socket):
			return
		}
	}
}

// hungUp tells the end of a connection from an empty packet.
func hungUp(socket int) bool {
	fds := []unix.PollFd{{Fd: int32(socket), Events: unix.POLLRDHUP}}
	_, err := unix.Poll(fds, 0)
	return err != nil || fds[0].Revents&(unix.POLLHUP|unix.POLLRDHUP|unix.POLLERR|unix.POLLNVAL) != 0
}

// cleanUp takes the watched mount away, if it is still there, topmost, and its
// daemon dead; with all the checks of -u. If it is gone, nothing is touched:
// opening what lies there now might mount something.
func (h *helper) cleanUp(watched mtab.Entry) error {
	now, err := mtab.Again(watched)
	if errors.Is(err, mtab.ErrNotListed) {
		return nil
	}
	if err != nil {
		return err
	}
	place, err := kernel.Resolve(now.Mountpoint)
	if err != nil {
		return err
	}
	target, err := place.Target()
	if err != nil {
		return err
	}
	entry, isRoot := target.Entry()
	if !isRoot || !mtab.Same(entry, watched) || !target.Dead() {
		return target.Close()
	}
	return h.unmountTarget(target, true)
}
