// Package fusedev knows the fuse device: which one it is, what it serves, and how it is
// asked for the first request before there is a mount.
package fusedev

import (
	"errors"
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
	return unix.Fstat(fd, &st) == nil && IsFile(&st)
}

// IsFile says of what stat(2) gives whether it is the fuse device's.
func IsFile(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && uint64(st.Rdev) == number
}

// WrongFile says what to do about another file in the device's place; it is empty
// where path is the device, or nothing.
func WrongFile(path string) string {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil || IsFile(&st) {
		return ""
	}
	word := printable.ShellWord(path)
	return path + " is not the fuse device; as root: rm " + word + ", then mknod -m 666 " + word + " c 10 229"
}

// syncInit is FUSE_DEV_IOC_SYNC_INIT, _IO(229, 3) (linux/fuse.h). How an architecture
// writes _IO is taken from another one without argument, _IO(0x12, 95).
const syncInit = unix.BLKRRPART&^0xffff | 229<<8 | 3

// SyncInit has the kernel send the first request (FUSE_INIT) before it makes the mount,
// and not after. It concerns the open file alone, and is ENOTTY before Linux 6.18; the
// device stays as it was then.
func SyncInit(fd int) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), syncInit, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// Connection gives the number of the connection that a device serves, which is also
// that of the file system's device. Recent kernels report it (6.18 does, 6.12 does
// not); of others, and of a device that is not mounted, ok is false. A device whose
// connection has ended keeps a number that may be another's by now.
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

// IsMounted says whether a device has a connection: one without answers a poll with an
// error. It waits for a device on which [SyncInit] was called, until that is mounted.
func IsMounted(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, 0)
		if !errors.Is(err, unix.EINTR) {
			return err == nil && fds[0].Revents&(unix.POLLERR|unix.POLLNVAL) == 0
		}
	}
}
