// Package pathfd opens paths as O_PATH descriptors, and finds the path of a descriptor.
// Only a daemon that serves a directory further up can make opening wait.
package pathfd

import (
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// Open opens what name leads to, relative to the directory dir. flags are added to
// O_PATH and O_CLOEXEC.
func Open(dir int, name string, flags int) (int, error) {
	fd, err := rawfile.Openat(dir, name, unix.O_PATH|flags, 0)
	if err != nil {
		return -1, err // not fd, which is 0 for a path with a NUL
	}
	return fd, nil
}

// Link is the name of a descriptor below /proc. It leads to the very file, whatever lies at
// its path.
func Link(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// Path gives the canonical path of a descriptor. " (deleted)" follows it where the name is
// gone; it begins without a slash where it lies outside of the process's root directory.
// It fails without /proc.
func Path(fd int) (string, error) { return Readlink(Link(fd)) }

// Readlink gives the whole target of a symbolic link.
func Readlink(link string) (string, error) {
	var space [512]byte // on the stack
	for buf := space[:]; ; buf = make([]byte, 4*len(buf)) {
		n, err := unix.Readlink(link, buf)
		if err != nil {
			return "", err
		}
		if n < len(buf) {
			return string(buf[:n]), nil
		}
	}
}
