package helper

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/collect"
	"github.com/go-fusermount/fusermount/internal/diagnose"
	"github.com/go-fusermount/fusermount/internal/entry"
	"github.com/go-fusermount/fusermount/internal/mount"
	"github.com/go-fusermount/fusermount/internal/policy"
)

// hint says what the caller can do about an error, where we know it.
func (h *helper) hint(err error) string {
	var refusal *policy.Refusal
	var device *mount.DeviceError
	var access *mount.AccessError
	var failed *mount.MountError
	var unmount *mount.UnmountError
	var abort *abortError
	switch {
	case errors.Is(err, errNoSocket):
		return "FUSE programs such as sshfs call this one to mount, and give it a socket; to unmount, add -u"
	case errors.As(err, &refusal):
		return refusal.Hint
	case errors.As(err, &device):
		return deviceHint(device)
	case errors.As(err, &access):
		return accessHint(access)
	case errors.As(err, &failed) && errors.Is(err, unix.EPERM),
		errors.As(err, &unmount) && errors.Is(err, unix.EPERM):
		return h.who.Origin.Explain()
	case errors.As(err, &failed) && errors.Is(err, unix.EACCES),
		errors.As(err, &unmount) && errors.Is(err, unix.EACCES):
		return profileHint()
	case errors.As(err, &failed) && errors.Is(err, unix.EINVAL) && collect.OtherDevice(devicePath()):
		return diagnose.WrongDevice(devicePath())
	case errors.As(err, &unmount) && errors.Is(err, unix.EBUSY):
		return h.busyHint(unmount)
	case errors.As(err, &abort):
		return abortHint(abort)
	case errors.As(err, &unmount) && errors.Is(err, unix.EINVAL):
		return "the mount was exchanged meanwhile, or comes from outside of this namespace, where alone it can be unmounted"
	}
	return ""
}

// usageHint is for a command line that cannot be read.
const usageHint = "'fusermount3 --help' lists what it can be called with"

// idsHint says what is wrong where the process cannot become its caller.
func idsHint(err error) string {
	var failed *entry.Error
	if errors.As(err, &failed) && strings.HasPrefix(failed.Step, "setres") && failed.Errno == unix.EINVAL {
		return "your ids may have no mapping in this user namespace: see /proc/self/uid_map and gid_map"
	}
	return ""
}

// accessHint tells no more than the error itself does: it has the same words
// for what is absent and for what is hidden.
func accessHint(e *mount.AccessError) string {
	switch {
	case errors.Is(e.Errno, unix.ENOTCONN):
		return "a FUSE file system whose daemon is gone is mounted there: take it away with 'fusermount3 -u'"
	case errors.Is(e.Errno, unix.ENOENT) && e.Parent:
		return "a directory on the way to it does not exist"
	case errors.Is(e.Errno, unix.ENOENT):
		return "a mountpoint has to exist already: create it first"
	case errors.Is(e.Errno, unix.EACCES):
		return "a directory on the way to it is closed to you, or another user's FUSE file system is mounted there"
	}
	return ""
}

func deviceHint(e *mount.DeviceError) string {
	switch known, err := mount.KnowsFS("fuse"); {
	case e.Absent() && err != nil:
		return "the device is not there; whether the kernel has FUSE shows when /proc is mounted"
	case e.Absent() && !known:
		return "this kernel has no FUSE: the module fuse is not built, or loading modules is disabled; " +
			"'modprobe fuse', as root, says which"
	case e.Absent():
		return "the kernel has FUSE, but this environment lacks the device: a container needs --device " + e.Path
	case e.Loaded:
		return "the module fuse was loaded just now, and nothing has opened its device to you: " +
			"a rule for udev or systemd-tmpfiles does that at each start (mode 0666), or 'chmod 0666 " + e.Path + "' for now"
	case errors.Is(e.Errno, unix.EACCES):
		return e.Path + " is closed to you: it is usually open to everybody (mode 0666), " +
			"or to a group that you would have to be in; see 'ls -l " + e.Path + "'"
	case errors.Is(e.Errno, unix.EPERM):
		return "a device cgroup forbids " + e.Path + " here: a container needs --device " + e.Path
	}
	return ""
}
