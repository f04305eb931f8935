package helper

import (
	"errors"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fdpass"
	"github.com/go-fusermount/fusermount/internal/fusedev"
	"github.com/go-fusermount/fusermount/internal/secure"
)

// This file alone reads the environment.

// commVariable names the socket's number. _FUSE_COMMFD2, the caller's own end,
// is of no interest.
const commVariable = "_FUSE_COMMFD"

// errNoSocket is what is said where a person, and not a FUSE program, mounts.
var errNoSocket = errors.New("old style mounting not supported")

// commSocket finds the socket on which the caller waits for the device.
func (h *helper) commSocket() (int, error) {
	name, text := "--comm-fd", h.req.CommFD
	if !h.req.HasCommFD {
		var set bool
		if text, set = os.LookupEnv(commVariable); !set {
			return 0, errNoSocket
		}
		name = commVariable
	}
	fd, err := fdpass.ParseFD(text)
	if err != nil {
		return 0, errors.New("invalid " + name + ": " + text)
	}
	if err := fdpass.Check(fd); err != nil {
		return 0, err
	}
	if fd == unix.Stderr {
		h.report.mute()
	}
	return fd, nil
}

// deviceVariable names another fuse device.
const deviceVariable = "FUSE_KERN_DEVICE"

// devicePath is the fuse device to open. Another one than /dev/fuse, below
// /dev, counts only for a caller who runs the program with no more than his own
// rights: in secure-execution mode the variable is not even looked at.
func devicePath() string {
	if secure.Execution() {
		return fusedev.Path
	}
	if other := path.Clean(os.Getenv(deviceVariable)); strings.HasPrefix(other, "/dev/") {
		return other
	}
	return fusedev.Path
}

// calmCollector keeps the Go runtime from collecting garbage all the time where
// the environment asks it to. It would start threads for that, and it ends a
// program that may start none (RLIMIT_NPROC) on the spot: after the mount, and
// before anybody has the device. Without those two variables there is far too
// little garbage for any of it, and nothing to be done.
func calmCollector() {
	_, percent := os.LookupEnv("GOGC")
	_, limit := os.LookupEnv("GOMEMLIMIT")
	if percent || limit {
		debug.SetGCPercent(100)
		debug.SetMemoryLimit(math.MaxInt64)
	}
}
