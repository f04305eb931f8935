package mtab

import (
	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// ConnectionsPath is where fusectl, the kernel's file system of FUSE connections, is
// mounted, if it is; ConnectionsMagic is what statfs says of it (linux/magic.h).
const (
	ConnectionsPath  = "/sys/fs/fuse/connections"
	ConnectionsMagic = 0x65735543
)

// Connections gives the number of FUSE connections of the whole system, an upper bound of
// the file systems in one namespace, if fusectl is mounted. Its cost is constant.
func Connections() (n int, ok bool) {
	var fs unix.Statfs_t
	if rawfile.RetryEINTR(func() error { return unix.Statfs(ConnectionsPath, &fs) }) != nil || fs.Type != ConnectionsMagic {
		return 0, false
	}
	return ConnectionsAt(unix.AT_FDCWD, ConnectionsPath)
}

// ConnectionsAt is Connections for the root of a fusectl. Its link count is two, and one
// for each connection.
func ConnectionsAt(fd int, name string) (n int, ok bool) {
	var st unix.Stat_t
	if unix.Fstatat(fd, name, &st, unix.AT_EMPTY_PATH) != nil {
		return 0, false
	}
	return int(st.Nlink) - 2, st.Nlink >= 2
}

// CountMounts gives the number of all mounts in this namespace, where the kernel lists
// them by id.
func CountMounts() (n int, ok bool) {
	ids, err := listmount(allMounts)
	return len(ids), err == nil
}

// CountFuse gives the number of FUSE file systems in this mount namespace, bind mounts not
// counted. It looks at every mount.
func CountFuse() (int, error) {
	mounts, err := FuseByID()
	if err != nil {
		mounts, err = Fuse()
	}
	seen := map[uint32]bool{}
	for _, e := range mounts {
		seen[e.Connection()] = true
	}
	return len(seen), err
}
