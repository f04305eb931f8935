package fusermount

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mtab"
)

// DaemonState says whether somebody serves a FUSE mount.
type DaemonState int

const (
	// Unknown: nobody is seen to serve the mount, and the kernel does not tell.
	Unknown DaemonState = iota
	// Alive: a process holds the device. It may hang all the same.
	Alive
	// Dead: nobody holds it. Whoever touches the mount gets ENOTCONN.
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

// holders are the processes that hold fuse devices, as far as this one may see.
type holders struct {
	connections map[uint64]bool
	// nameless says that there are devices of which the kernel does not tell the
	// connection: on older kernels, or because they are not mounted yet.
	nameless bool
	// hidden says that there are processes that may not be looked into.
	hidden bool
}

// findHolders looks through all processes. It asks no daemon: it reads where
// descriptors lead to, and does not follow them.
func findHolders() holders {
	h := holders{connections: map[uint64]bool{}}
	processes, err := filepath.Glob("/proc/[0-9]*")
	h.hidden = err != nil || len(processes) == 0 // no /proc
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
		if n, ok := connectionIn(process + "/fdinfo/" + fd.Name()); ok {
			h.connections[n] = true
		} else if link == devicePath {
			h.nameless = true
		}
	}
}

// state says whether a mount's daemon lives.
//
// Only he learns it for sure who asks the daemon, and a daemon that lives and
// hangs would then hang him, in a way that not even SIGKILL ends. So it is asked
// only if nobody is seen to be there, and nobody waits for an answer.
func (h holders) state(e mtab.Entry) DaemonState {
	if h.connections[connection(e)] {
		return Alive
	}
	waiting, known := waitingFor(e)
	if waiting > 0 || !known && h.nameless && len(h.connections) == 0 {
		return Unknown
	}
	ctx, cancel := context.WithTimeout(context.Background(), askLimit)
	defer cancel()
	state, err := await(ctx, func() (DaemonState, error) { return h.ask(e), nil }, func(DaemonState, error) {})
	if err != nil {
		return Unknown
	}
	return state
}

// askLimit is for a daemon that is there all the same, and hangs.
const askLimit = time.Second

// ask asks the daemon, which nobody seems to be.
func (h holders) ask(e mtab.Entry) DaemonState {
	fd, err := openPath(e.Mountpoint, unix.O_NOFOLLOW)
	if err != nil {
		return Unknown
	}
	defer unix.Close(fd)
	if now, _, err := mtab.Of(fd); err != nil || !mtab.Same(now, e) {
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
