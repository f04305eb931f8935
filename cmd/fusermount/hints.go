package main

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/kernel"
	"github.com/go-fusermount/fusermount/internal/policy"
)

// hint says what the caller can do about an error, where we know it.
func (h *helper) hint(err error) string {
	var refusal *policy.Refusal
	var device *kernel.DeviceError
	var access *kernel.AccessError
	var mount *kernel.MountError
	var unmount *kernel.UnmountError
	switch {
	case errors.As(err, &refusal):
		return refusal.Hint
	case errors.As(err, &device):
		return deviceHint(device)
	case errors.As(err, &access) && errors.Is(err, unix.ENOTCONN):
		return "a FUSE file system whose daemon is gone is mounted there: take it away with 'fusermount3 -u'"
	case errors.As(err, &mount) && errors.Is(err, unix.EPERM),
		errors.As(err, &unmount) && errors.Is(err, unix.EPERM):
		return h.who.Origin.Explain()
	case errors.As(err, &unmount) && errors.Is(err, unix.EBUSY):
		return "something still uses it: an open file, a working directory, or a mount inside; " +
			"-z detaches it now and cleans up when it is no longer used"
	}
	return ""
}

func deviceHint(e *kernel.DeviceError) string {
	switch {
	case e.Absent() && !kernel.KnowsFS("fuse"):
		return "this kernel has no FUSE: the module fuse is not built, or loading modules is disabled"
	case e.Absent():
		return "the kernel has FUSE, but this environment lacks the device: a container needs --device " + e.Path
	case errors.Is(e.Errno, unix.EACCES):
		return e.Path + " is closed to you: it is usually open to everybody (mode 0666), " +
			"or to a group that you would have to be in"
	case errors.Is(e.Errno, unix.EPERM):
		return "a device cgroup forbids " + e.Path + " here: a container needs --device " + e.Path
	}
	return ""
}
