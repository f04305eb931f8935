// Package fusedev knows the fuse device.
package fusedev

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/printable"
	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// Path is where the fuse device lies.
const Path = "/dev/fuse"

// number is the device's: FUSE_MINOR of MISC_MAJOR (linux/miscdevice.h).
var number = unix.Mkdev(10, 229)

// Open opens the device at a path: close-on-exec, and blocking.
func Open(path string) (int, error) { return rawfile.Open(path, unix.O_RDWR, 0) }

// Is says whether a descriptor is one of the fuse device.
func Is(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && isFile(&st)
}

// isFile says of what stat(2) gives whether it is the fuse device's.
func isFile(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && uint64(st.Rdev) == number
}

// Connection gives the number of the connection that a device serves. ok is false if it is
// not mounted, or the kernel does not tell (6.18 does, 6.12 does not). The number of an
// ended connection may be another's by now.
func Connection(fd int) (n uint32, ok bool) {
	return ConnectionIn("/proc/self/fdinfo/" + strconv.Itoa(fd))
}

// ConnectionIn is Connection for the file in fdinfo of any process's descriptor.
func ConnectionIn(fdinfo string) (n uint32, ok bool) {
	text, err := rawfile.Text(fdinfo)
	if err != nil {
		return 0, false
	}
	for line := range strings.SplitSeq(text, "\n") {
		if value, found := strings.CutPrefix(line, "fuse_connection:"); found {
			n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 32)
			return uint32(n), err == nil
		}
	}
	return 0, false
}

// WrongFile says what to do about another file in the device's place; it is empty
// where path is the device, or nothing.
func WrongFile(path string) string {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil || isFile(&st) {
		return ""
	}
	word := printable.ShellWord(path)
	return path + " is not the fuse device; as root: rm " + word + " && mknod -m 666 " + word + " c 10 229"
}
