package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// asRoot keeps PATH: sudo's own usually has no go.
const asRoot = `sudo env PATH="$PATH" make demo`

// ready says why the demo cannot run here and what would help.
func ready() error {
	if fusetest.Have() == fusetest.None {
		return errors.New(noNamespace(os.Geteuid() == 0, hasSysAdmin(), inChroot()))
	}
	dev, err := fusetest.OpenDevice()
	switch {
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%w: load the module ('modprobe fuse' as root); a container needs the device as well", err)
	case errors.Is(err, unix.EACCES) && fusetest.Have() != fusetest.Root:
		return fmt.Errorf("%w: run '%s', or open the device to all users ('sudo chmod 0666 /dev/fuse')", err, asRoot)
	case err != nil:
		return err
	}
	return dev.Close()
}

// noNamespace explains why there is no mount namespace for the demo.
func noNamespace(root, sysAdmin, chroot bool) string {
	switch {
	case chroot:
		return "this is a chroot whose root directory is not a mountpoint. The kernel allows no user namespace in it, " +
			"and its mounts cannot be made private: run the demo outside, or bind the directory to itself before the chroot " +
			"('mount --bind DIR DIR') and run the demo in it as root"
	case root && !sysAdmin:
		return "root lacks CAP_SYS_ADMIN here, as in most containers, and may not make a user namespace: run the demo outside, " +
			"or start the container with CAP_SYS_ADMIN and /dev/fuse"
	case root:
		return "no mount namespace could be set up; the reason stands above"
	}
	return "this system allows no user namespaces to ordinary users (sysctl user.max_user_namespaces, " +
		"kernel.apparmor_restrict_unprivileged_userns): run '" + asRoot + "'"
}

// hasSysAdmin says whether this process has CAP_SYS_ADMIN effective.
func hasSysAdmin() bool {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return true // not known: then it is not named as the reason
	}
	_, rest, _ := strings.Cut(string(text), "\nCapEff:")
	field, _, _ := strings.Cut(rest, "\n")
	set, err := strconv.ParseUint(strings.TrimSpace(field), 16, 64)
	return err != nil || set&(1<<unix.CAP_SYS_ADMIN) != 0
}

// inChroot says whether the root directory is not the root of a mount.
func inChroot() bool {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, "/", 0, 0, &st)
	return err == nil && st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0 && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0
}
