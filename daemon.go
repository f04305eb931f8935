//go:build linux

package fusermount

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/cancelable"
	"github.com/go-fusermount/fusermount/internal/connection"
	"github.com/go-fusermount/fusermount/internal/fusedev"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/pathfd"
)

// DaemonState says whether somebody serves a FUSE mount.
type DaemonState int

const (
	// Unknown: the kernel does not tell this process, and nobody is seen to
	// serve the mount.
	Unknown DaemonState = iota
	// Alive: somebody holds the device. He may hang all the same.
	Alive
	// Dead: nobody does, or the connection was aborted. Whoever touches the mount
	// gets ENOTCONN.
	Dead
)

func (s DaemonState) String() string {
	switch s {
	case Alive:
		return "alive"
	case Dead:
		return "dead"
	}
	return "unknown"
}

// daemons finds out whether daemons live. Only who asks one learns it in any
// case, and a daemon that lives and hangs would then hang him, in a way that not
// even SIGKILL ends. So the kernel is asked, then who holds devices, and the
// daemon itself only if it would have been seen there.
type daemons struct {
	who     caller
	control connection.Dir
	err     error // of control
	holders *holders
}

func newDaemons(who caller) *daemons {
	d := &daemons{who: who}
	d.control, d.err = openControl(who)
	return d
}

func (d *daemons) close() {
	if d.err == nil {
		_ = d.control.Close() // O_PATH: nothing can fail
	}
}

func (d *daemons) state(e mtab.Entry) DaemonState {
	if d.err == nil {
		if s, err := d.control.Status(e.Connection()); err == nil && s.Ended {
			return Dead
		} else if err == nil {
			return Alive
		}
	}
	if d.holders == nil {
		d.holders = findHolders()
	}
	return d.holders.state(e, d.who)
}

// holders are the processes that hold fuse devices, as far as this one may see.
type holders struct {
	connections map[uint32]bool
	// nameless says that there are devices of which the kernel does not tell the
	// connection: on older kernels, or because they are not mounted yet.
	nameless bool
	// hidden says that there are processes that may not be looked into, or may be
	// some in other namespaces that are not even listed.
	hidden bool
}

// firstPIDs is what the link of the first PID namespace says, the one in which all
// processes are seen (linux/proc_ns.h, PROC_PID_INIT_INO).
const firstPIDs = "pid:[4026531836]"

// findHolders looks through all processes. It reads where descriptors lead to,
// and does not follow them.
func findHolders() *holders {
	h := &holders{connections: map[uint32]bool{}}
	processes, err := filepath.Glob("/proc/[0-9]*")
	namespace, other := os.Readlink("/proc/self/ns/pid")
	h.hidden = err != nil || other != nil || namespace != firstPIDs // or no /proc
	for _, p := range processes {
		h.look(p)
	}
	return h
}

func (h *holders) look(process string) {
	fds, err := os.ReadDir(process + "/fd")
	h.hidden = h.hidden || errors.Is(err, fs.ErrPermission)
	for _, fd := range fds {
		link, err := os.Readlink(process + "/fd/" + fd.Name())
		if err != nil || !strings.Contains(filepath.Base(link), "fuse") {
			continue
		}
		if n, ok := fusedev.ConnectionIn(process + "/fdinfo/" + fd.Name()); ok {
			h.connections[n] = true
		} else if link == fusedev.Path {
			h.nameless = true
		}
	}
}

// askLimit is for a daemon that is there all the same, and hangs.
const askLimit = time.Second

// asked has since when a mount's daemon has not answered. Each question may hold
// a thread for good, so one that waits longer than askLimit is the last.
var asked sync.Map // of time.Time, by mount id

func (h *holders) state(e mtab.Entry, who caller) DaemonState {
	if h.connections[e.Connection()] {
		return Alive
	}
	if h.nameless && len(h.connections) == 0 || !h.sees(e, who) {
		return Unknown
	}
	if since, waits := asked.LoadOrStore(e.ID, time.Now()); waits && time.Since(since.(time.Time)) >= askLimit {
		return Unknown
	}
	ctx, cancel := context.WithTimeout(context.Background(), askLimit)
	defer cancel()
	state, err := cancelable.Run(ctx, func() (DaemonState, error) {
		defer asked.Delete(e.ID)
		return h.ask(e), nil
	}, nil)
	if err != nil {
		return Unknown
	}
	return state
}

// sees says whether a mount's daemon would have been seen: that of a user's own
// mount is his own process, any other's is seen by root, and not by every one.
func (h *holders) sees(e mtab.Entry, who caller) bool {
	owner, known := e.Owner()
	return known && owner == who.uid || who.uid == 0 && !h.hidden
}

// ask asks the daemon, which nobody seems to be.
func (h *holders) ask(e mtab.Entry) DaemonState {
	fd, err := pathfd.Open(unix.AT_FDCWD, e.Mountpoint, unix.O_NOFOLLOW)
	if err != nil {
		return Unknown
	}
	defer unix.Close(fd)
	if now, _, err := mtab.ByFD(fd); err != nil || !mtab.Same(now, e) {
		return Unknown // something lies on top
	}
	var st unix.Statx_t
	err = unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_FORCE_SYNC, unix.STATX_BASIC_STATS, &st)
	switch {
	case err == nil:
		return Alive
	case errors.Is(err, unix.ENOTCONN):
		return Dead
	case errors.Is(err, unix.EACCES) && unix.Geteuid() == 0 && !h.hidden:
		return Dead // only the owner may ask, but root has seen all processes
	}
	return Unknown
}
