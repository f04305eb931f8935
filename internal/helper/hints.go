package helper

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/entry"
	"github.com/go-fusermount/fusermount/internal/fusedev"
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
	switch {
	case errors.Is(err, errNoSocket):
		return "FUSE programs such as sshfs call this one to mount, and give it a socket; to unmount, add -u"
	case errors.As(err, &refusal):
		return refusal.Hint
	case errors.As(err, &device):
		return device.Hint()
	case errors.As(err, &access):
		return access.Hint()
	case errors.As(err, &failed) && errors.Is(err, unix.EPERM),
		errors.As(err, &unmount) && errors.Is(err, unix.EPERM):
		return h.who.Origin.Explain()
	case errors.As(err, &failed) && errors.Is(err, unix.EACCES),
		errors.As(err, &unmount) && errors.Is(err, unix.EACCES):
		return profileHint()
	case errors.As(err, &failed) && errors.Is(err, unix.EINVAL) && fusedev.WrongFile(devicePath()) != "":
		return fusedev.WrongFile(devicePath())
	case errors.As(err, &unmount) && errors.Is(err, unix.EBUSY):
		return h.busyHint(unmount)
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
