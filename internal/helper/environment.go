package helper

import (
	"errors"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/ask"
	"github.com/go-fusermount/fusermount/internal/fdpass"
	"github.com/go-fusermount/fusermount/internal/fusedev"
	"github.com/go-fusermount/fusermount/internal/secure"
)

// This file alone reads the environment.

const (
	commVariable   = "_FUSE_COMMFD" // _FUSE_COMMFD2, the caller's own end, is ignored
	deviceVariable = "FUSE_KERN_DEVICE"
)

// errNoSocket is for a mount that no FUSE program asks for.
var errNoSocket = errors.New("old style mounting not supported")

// commSocket finds the socket on which the caller waits for the device.
func commSocket(r *run) (int, error) {
	if r.guest != nil {
		return r.guest.Comm, fdpass.Check(r.guest.Comm)
	}
	name, text := "--comm-fd", r.req.CommFD
	if !r.req.HasCommFD {
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
		r.report.muted = true
	}
	return fd, nil
}

// servicePath is the socket of the mount service.
func servicePath() string { return ask.Path(os.Getenv(ask.SocketVariable)) }

// devicePath is the fuse device to open. In secure-execution mode the variable is not
// read: it counts only for a program that has no more privileges than its caller.
func devicePath() string {
	if secure.Execution() {
		return fusedev.Path
	}
	if other := path.Clean(os.Getenv(deviceVariable)); strings.HasPrefix(other, "/dev/") {
		return other
	}
	return fusedev.Path
}

// resetGC undoes settings that make the Go runtime collect garbage all the time. It would start
// threads for that, and it ends a program that may not (RLIMIT_NPROC): perhaps after the mount,
// and before the device is sent. Without them there is too little garbage for a collection.
func resetGC() {
	_, percent := os.LookupEnv("GOGC")
	_, limit := os.LookupEnv("GOMEMLIMIT")
	if percent || limit {
		debug.SetGCPercent(100)
		debug.SetMemoryLimit(math.MaxInt64)
	}
}
