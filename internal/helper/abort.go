package helper

import (
	"errors"

	"github.com/go-fusermount/fusermount/internal/connection"
	"github.com/go-fusermount/fusermount/internal/mount"
	"github.com/go-fusermount/fusermount/internal/seccomp"
	"github.com/go-fusermount/fusermount/internal/signals"
)

// abortError is a connection that could not be ended.
type abortError struct {
	path  string
	cause error
}

func (e *abortError) Error() string {
	cause := mount.Strerror(e.cause)
	if errors.Is(e.cause, connection.ErrNotMounted) {
		cause = connection.ErrNotMounted.Error() // a name keeps its small letter
	}
	return "failed to abort the connection of " + e.path + ": " + cause
}

func (e *abortError) Unwrap() error { return e.cause }

// abort is --abort: it ends the connection of what is mounted topmost at the
// mountpoint, with the rights of the caller, and takes the mount away as -u -z
// does. What -u -z would refuse is refused before anything is done.
func (h *helper) abort() error {
	if err := h.only(h.tasksOfUnmount() | seccomp.Abort); err != nil {
		return err
	}
	target, err := h.target()
	if err != nil {
		return err
	}
	_, err = h.judge(target, true)
	if err == nil {
		err = signals.Hold() // a dead mount that stays is half of what was asked for
	}
	if err == nil {
		err = endConnection(target)
	}
	if err == nil {
		err = h.unmountTarget(target, true)
	}
	if err != nil {
		return err
	}
	h.logDone("aborted and unmounted")
	return nil
}

// endConnection aborts. The target's descriptor keeps the file system, and so its
// number, from being another's meanwhile.
func endConnection(target *mount.Target) error {
	ctl, err := connection.Open()
	if err != nil {
		return &abortError{target.Path(), err}
	}
	entry, _ := target.Entry()
	if err := errors.Join(ctl.Abort(entry.Connection()), ctl.Close()); err != nil {
		return &abortError{target.Path(), err}
	}
	return nil
}
