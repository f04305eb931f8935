package fusermount

import (
	"errors"

	"golang.org/x/sys/unix"
)

// caller is who calls this package: the ids and the capability of his thread.
type caller struct {
	uid, gid uint32
	// admin is CAP_SYS_ADMIN, effective in the thread's user namespace. Without
	// it no mount and no unmount is allowed, whatever the uid; with it, it may be
	// refused for many other reasons.
	admin bool
}

func whoCalls() caller {
	c := caller{uid: uint32(unix.Getuid()), gid: uint32(unix.Getgid())}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err == nil {
		c.admin = data[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
	}
	return c
}

// closedWay says whether an error may mean that this process cannot make such a
// system call at all (old kernel, seccomp filter, security module, user
// namespace), so that another way is worth a try.
func closedWay(err error) bool {
	return errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)
}
