package mount

import (
	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mtab"
)

// CountFuse gives the number of FUSE file systems in this mount namespace.
// Below limit the number may be too high, as long as it stays below limit.
//
// The ways to it stand in the order of their cost: most callers are far from
// the limit, and must not pay for other people's mounts.
func CountFuse(limit int) (int, error) {
	n, mounted := mtab.Connections()
	if mounted && n < limit {
		return n, nil
	}
	if n, ok := mtab.CountMounts(); ok && n < limit {
		return n, nil
	}
	if !mounted {
		if n, ok := detachedConnections(); ok && n < limit {
			return n, nil
		}
	}
	return mtab.CountFuse()
}

// detachedConnections counts as mtab.Connections does, where nobody mounted
// fusectl: in a mount of it that is never attached anywhere.
func detachedConnections() (n int, ok bool) {
	context, err := fsopen("fusectl")
	if err != nil {
		return 0, false
	}
	defer unix.Close(context)
	if err := fsconfigCreate(context); err != nil {
		return 0, false
	}
	fd, err := fsmount(context, unix.MOUNT_ATTR_RDONLY)
	if err != nil {
		return 0, false
	}
	defer unix.Close(fd)
	return mtab.ConnectionsAt(fd)
}
