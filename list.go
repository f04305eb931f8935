package fusermount

import (
	"strings"

	"github.com/go-fusermount/fusermount/internal/mtab"
)

// Info is one FUSE mount of the mount table.
type Info struct {
	ID         uint64 // as Mounted.ID
	Mountpoint string // absolute
	Source     string // Options.FSName
	Type       string // fuse, fuseblk, fuse.SUBTYPE or fuseblk.SUBTYPE
	Subtype    string // Options.Subtype
	Owner      uint32 // the user for whom it was mounted (user_id)
	Connection uint64 // the number below /sys/fs/fuse/connections
	Daemon     DaemonState
	// Options are the file system's, as the kernel lists them, comma-separated.
	Options string
}

// List gives all FUSE mounts of this process's mount namespace, in the order in
// which they were mounted, bind mounts included. It does not touch a mount whose
// daemon lives, so that none can make it wait. The error is an [*Error].
//
// Which processes serve which mounts is read from /proc, as far as the kernel
// tells (6.18 does, 6.12 does not). Of other users' mounts an ordinary user learns
// little. Where nobody is seen and nobody waits for an answer, the mount itself is
// asked, for at most a second.
func List() ([]Info, error) {
	entries, err := mtab.FuseMounts()
	if err != nil {
		return nil, &Error{Op: "list", Err: err}
	}
	list := make([]Info, 0, len(entries))
	if len(entries) == 0 {
		return list, nil
	}
	h := findHolders()
	for _, e := range entries {
		info := infoOf(e)
		info.Daemon = h.state(e)
		list = append(list, info)
	}
	return list, nil
}

func infoOf(e mtab.Entry) Info {
	owner, _ := e.Owner()
	_, subtype, _ := strings.Cut(e.Type, ".")
	return Info{
		ID: e.ID, Mountpoint: e.Mountpoint, Source: e.Source, Type: e.Type, Subtype: subtype,
		Owner: owner, Connection: connection(e), Options: e.SuperOptions,
	}
}
