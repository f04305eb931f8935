package mtab

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mountopts"
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
	var st unix.Stat_t
	if unix.Stat(ConnectionsPath, &st) != nil {
		return 0, false
	}
	return connections(st)
}

// ConnectionsAt is Connections for a root of fusectl that is already open.
func ConnectionsAt(fd int) (n int, ok bool) {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return 0, false
	}
	return connections(st)
}

// connections reads the link count of fusectl's root: two, and one for each connection.
func connections(st unix.Stat_t) (n int, ok bool) { return int(st.Nlink) - 2, st.Nlink >= 2 }

// CountMounts gives the number of all mounts in this namespace, where the kernel lists
// them by id.
func CountMounts() (n int, ok bool) {
	var ids idSpace
	for last := uint64(0); ; last = ids[len(ids)-1] {
		more, err := listmountInto(&ids, allMounts, last)
		if err != nil {
			return 0, false
		}
		n += more
		if more < len(ids) {
			return n, true
		}
	}
}

// CountFuse gives the number of FUSE file systems in this mount namespace, bind mounts not
// counted. It looks at every mount.
func CountFuse() (int, error) {
	if n, err := countByID(); err == nil {
		return n, nil
	}
	return countByText()
}

// device is a file system, as the table names it.
type device struct{ major, minor uint32 }

func countByID() (int, error) {
	ids, err := listmount(allMounts)
	if err != nil {
		return 0, err
	}
	seen := map[device]bool{}
	buf := make([]byte, offStrings+256) // file systems have short names
	for _, id := range ids {
		err := statmountInto(buf, id, statmountSbBasic|statmountFsType)
		if errors.Is(err, unix.ENOENT) { // unmounted meanwhile
			continue
		}
		if err != nil {
			return 0, err
		}
		if mountopts.IsFuse(textOf(buf, statmountFsType, offFsType)) {
			ne := binary.NativeEndian
			seen[device{ne.Uint32(buf[offMajor:]), ne.Uint32(buf[offMinor:])}] = true
		}
	}
	return len(seen), nil
}

func countByText() (int, error) {
	entries, err := Fuse()
	if err != nil {
		return 0, err
	}
	seen := map[device]bool{}
	for _, e := range entries {
		seen[device{e.Major, e.Minor}] = true
	}
	return len(seen), nil
}
