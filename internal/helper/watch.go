package helper

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fdpass"
	"github.com/go-fusermount/fusermount/internal/mount"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/priv"
	"github.com/go-fusermount/fusermount/internal/seccomp"
)

// watchMounted is --auto-unmount: somebody else mounted, and the topmost mount
// at the mountpoint is watched if it is the caller's FUSE file system.
func (h *helper) watchMounted() error {
	socket, err := h.commSocket()
	if err != nil {
		return err
	}
	if err := h.only(h.tasksOfUnmount() | seccomp.Leave | seccomp.Watch); err != nil {
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
	_, recorded := h.recorded(target)
	// Held any longer it would keep the mount busy when the caller sees from the
	// end of our streams that the watch has begun.
	if err := target.Close(); err != nil {
		return err
	}
	if err := h.leave(socket, recorded); err != nil {
		return err
	}
	h.over = true
	return h.watch(socket, entry)
}

// leave makes the process a daemon that holds nothing but the socket, and can
// do nothing but wait for its end and unmount. Where a table has a line of the
// mount, it keeps what it needs to take that out again. Nobody reads messages
// from then on.
func (h *helper) leave(socket int, recorded bool) error {
	tasks := seccomp.Unmount | seccomp.Watch
	if recorded {
		tasks |= seccomp.Tables
	}
	h.tasks = tasks
	// A root caller's other rights go, too. One stays, by which they reach the
	// mountpoint in another user's directory.
	if err := priv.Shed(rights(tasks) | priv.DACReadSearch); err != nil {
		return err
	}
	// Before detach, which ignores the signal that the runtime sends its threads.
	if err := priv.RestrictOthers(recorded); err != nil {
		return err
	}
	if err := detach(socket); err != nil {
		return err
	}
	null, err := openNull() // nothing is opened to be written to afterwards
	if err != nil {
		return err
	}
	err = seccomp.To(tasks, h.who.UID, h.who.GID)
	if err == nil {
		err = closeStreams(null, socket)
	}
	if err != nil {
		return errors.Join(err, unix.Close(null))
	}
	_ = unix.Close(null) // nobody can be told any more, and the mount needs its watcher
	h.report.mute()
	return nil
}

// watch is what auto_unmount adds to a mount: the process stays until the
// caller's daemon is gone, and takes the mount away if it died.
func (h *helper) watch(socket int, watched mtab.Entry) error {
	fdpass.WaitClosed(socket)
	err := h.cleanUp(watched)
	if err != nil { // perhaps for want of memory; nobody else will do it
		err = h.cleanUp(watched)
	}
	if err != nil {
		h.logRefusal("automatic unmount", err)
		return err
	}
	return nil
}

// cleanUp takes the watched mount away, if its daemon is dead. That it failed
// counts only while there is something left: somebody else may be faster.
func (h *helper) cleanUp(watched mtab.Entry) error {
	err := h.takeAway(watched)
	if err == nil {
		return nil
	}
	if _, gone := mtab.Reload(watched); errors.Is(gone, mtab.ErrNotListed) {
		return nil
	}
	return err
}

// takeAway unmounts the watched mount, if it is still there, topmost, and its
// daemon dead; with all the checks of -u.
func (h *helper) takeAway(watched mtab.Entry) error {
	target, err := mount.Again(watched)
	if errors.Is(err, mtab.ErrNotListed) || errors.Is(err, mount.ErrCovered) {
		return nil
	}
	if err != nil {
		return err
	}
	if !target.Dead() {
		return target.Close()
	}
	if err := h.unmountTarget(target, true); err != nil {
		return err
	}
	h.path = target.Path()
	h.logDone("automatically unmounted")
	return nil
}
