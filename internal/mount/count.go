package mount

import (
	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mtab"
)

// CountFuse gives the number of FUSE file systems in this mount namespace. Below limit
// it may be too high, but stays below limit.
//
// The cheapest way comes first: most callers are far from the limit, and must not pay for
// other users' mounts.
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

// detachedConnections counts as mtab.Connections does, in a mount of fusectl that is
// never attached anywhere.
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
	return mtab.ConnectionsAt(fd, "")
}
