//go:build linux

package fusermount

import (
	"context"
	"strings"
	"time"

	"github.com/go-fusermount/fusermount/internal/connection"
	"github.com/go-fusermount/fusermount/internal/fusemounts"
	"github.com/go-fusermount/fusermount/internal/mtab"
)

// MountInfo is one FUSE mount of the mount table.
type MountInfo struct {
	ID         uint64 // as Mounted.ID
	Mountpoint string // absolute
	Source     string // Options.FSName
	Type       string // fuse, fuseblk, fuse.SUBTYPE or fuseblk.SUBTYPE
	Subtype    string // Options.Subtype
	Owner      uint32 // the user for whom it was mounted (user_id)
	Connection uint32 // the number below /sys/fs/fuse/connections
	// MountFlags are the options of the mount (ro, nosuid ...), and Options those of
	// the file system, as the kernel lists them, comma-separated. MountFlags is empty
	// where /proc does not list the mount.
	MountFlags string
	Options    string

	entry mtab.Entry
}

// List returns all FUSE mounts of this process's mount namespace in the order in which
// they were mounted, bind mounts included. It asks no daemon. The error is an [*Error].
func List() ([]MountInfo, error) {
	entries, err := fusemounts.All()
	if err != nil {
		return nil, &Error{Op: "list", Err: err}
	}
	listed, _ := mtab.Fuse() // without /proc, there are no flags
	list := make([]MountInfo, 0, len(entries))
	for _, e := range entries {
		info := infoOf(e)
		for i, l := range listed {
			if l.Mountpoint == e.Mountpoint && l.Connection() == e.Connection() {
				info.MountFlags, info.Options = l.Options, l.SuperOptions
				listed = append(listed[:i], listed[i+1:]...) // another may lie on top of it
				break
			}
		}
		list = append(list, info)
	}
	return list, nil
}

func infoOf(e mtab.Entry) MountInfo {
	owner, _ := e.Owner()
	_, subtype, _ := strings.Cut(e.Type, ".")
	return MountInfo{
		ID: e.ID, Mountpoint: e.Mountpoint, Source: e.Source, Type: e.Type, Subtype: subtype,
		Owner: owner, Connection: e.Connection(), Options: e.SuperOptions, entry: e,
	}
}

// DaemonState says whether a mount's daemon answers.
type DaemonState int

const (
	// DaemonUnknown: the kernel does not tell this process, and no process is seen
	// that serves the mount.
	DaemonUnknown DaemonState = iota
	// DaemonAlive: no request waits for the daemon; or it holds its device, and how
	// many requests wait is not known.
	DaemonAlive
	// DaemonWaiting: requests wait for the daemon, which makes progress or was not
	// looked at for long enough to say more. A slow daemon is in this state.
	DaemonWaiting
	// DaemonHung: requests wait, none was answered for some seconds, and the daemon's
	// processes that can be seen are stopped or did nothing at all.
	DaemonHung
	// DaemonDead: no process serves the mount any more, or its connection was
	// aborted. Each access fails with ENOTCONN; see [Unmount].
	DaemonDead
)

func (s DaemonState) String() string {
	switch s {
	case DaemonAlive:
		return "alive"
	case DaemonWaiting:
		return "waiting"
	case DaemonHung:
		return "hung"
	case DaemonDead:
		return "dead"
	}
	return "unknown"
}

// Daemon is what is known of the daemon that serves a mount.
type Daemon struct {
	State DaemonState
	// Waiting is the number of requests that the daemon has not answered, or -1
	// where it is not known.
	Waiting int
	// PIDs are the processes that hold the mount's device, where the kernel tells
	// (Linux 6.18) and as far as this process may look into them.
	PIDs []int
	// Stopped: all threads of these processes are stopped, by a signal or a debugger.
	// Blocked: a thread of theirs is in an uninterruptible wait in the kernel.
	Stopped, Blocked bool
}

// hungAfter is how long Daemons looks at a daemon for which requests wait.
const hungAfter = 3 * time.Second

// Daemons finds out whether the daemons of mounts that [List] returned are alive; the
// result has one Daemon for each, in the same order. It asks the kernel, and no daemon.
// Where requests wait, it looks for up to three seconds before it calls a daemon hung.
//
// The kernel tells the owner of a mount where fusectl is mounted on
// /sys/fs/fuse/connections, and root (CAP_SYS_ADMIN) everywhere. Otherwise a process that
// holds the device is searched for, where the kernel tells which device that is (6.18).
//
// If ctx ends first, the error is its cause in an [*Error], and the result is what was
// found out by then.
func Daemons(ctx context.Context, mounts ...MountInfo) ([]Daemon, error) {
	entries := make([]mtab.Entry, len(mounts))
	for i, m := range mounts {
		entries[i] = m.entry
	}
	judged, err := connection.Judge(ctx, currentCaller().onConnections(), connection.Options{Patience: hungAfter}, entries...)
	daemons := make([]Daemon, len(judged))
	for i, d := range judged {
		daemons[i] = Daemon{State: daemonState(d.State), Waiting: -1, PIDs: d.PIDs, Stopped: d.Stopped, Blocked: d.Blocked}
		if d.Counted {
			daemons[i].Waiting = d.Waiting
		}
	}
	if err != nil {
		return daemons, &Error{Op: "list", Err: err}
	}
	return daemons, nil
}

func daemonState(s connection.State) DaemonState {
	return map[connection.State]DaemonState{
		connection.Alive: DaemonAlive, connection.Waiting: DaemonWaiting, connection.Hung: DaemonHung, connection.Dead: DaemonDead,
	}[s]
}

// onConnections is the caller as package connection knows them.
func (c caller) onConnections() connection.Caller {
	return connection.Caller{UID: c.uid, Admin: c.admin}
}
