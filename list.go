//go:build linux

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
	Connection uint32 // the number below /sys/fs/fuse/connections
	Daemon     DaemonState
	// Options are the file system's, as the kernel lists them, comma-separated.
	Options string
}

// List gives all FUSE mounts of this process's mount namespace, in the order in
// which they were mounted, bind mounts included. The error is an [*Error].
//
// Whether a daemon lives the kernel tells to the mount's owner where fusectl is
// mounted on /sys/fs/fuse/connections, and to whoever has CAP_SYS_ADMIN. Without
// that, the processes that this one may look into are searched for one that
// holds the device (the kernel has to tell which it is: 6.18 does, 6.12 does not).
// If there is none, the caller's own mounts are asked themselves, as are all by
// root who has seen all processes; others are Unknown. To ask takes a moment, but
// for a daemon that was not seen, as one in another PID namespace, and hangs: it
// makes List wait for a second, once, and holds a thread of this process, which
// not even SIGKILL ends, until the daemon answers or its mount is aborted.
func List() ([]Info, error) {
	entries, err := mtab.FuseMounts()
	if err != nil {
		return nil, &Error{Op: "list", Err: err}
	}
	list := make([]Info, 0, len(entries))
	if len(entries) == 0 {
		return list, nil
	}
	d := newDaemons(currentCaller())
	defer d.close()
	for _, e := range entries {
		info := infoOf(e)
		info.Daemon = d.state(e)
		list = append(list, info)
	}
	return list, nil
}

func infoOf(e mtab.Entry) Info {
	owner, _ := e.Owner()
	_, subtype, _ := strings.Cut(e.Type, ".")
	return Info{
		ID: e.ID, Mountpoint: e.Mountpoint, Source: e.Source, Type: e.Type, Subtype: subtype,
		Owner: owner, Connection: e.Connection(), Options: e.SuperOptions,
	}
}
