package helper

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// closeInherited closes what the caller left open by mistake: all but the
// standard streams and the socket. The socket's other end may be among it, and
// while we hold that we would never see the caller go.
func closeInherited(socket int) error {
	fds, err := rawfile.Numbers("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("list descriptors: %w", err)
	}
	for _, fd := range fds {
		if fd > unix.Stderr && fd != socket && !isOwn(fd) {
			if err := unix.Close(fd); err != nil {
				return fmt.Errorf("close: %w", err)
			}
		}
	}
	return nil
}

// closeOthers closes everything but the streams, the socket, and what belongs
// to the Go runtime: its poller exists if a caller gave us a non-blocking
// stream, and the runtime dies if it is closed.
func closeOthers(socket int) error {
	fds, err := rawfile.Numbers("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("list descriptors: %w", err)
	}
	for _, fd := range fds {
		if fd <= unix.Stderr || fd == socket || isPoller(fd) {
			continue
		}
		// The descriptor of the list itself is among them, and closed already.
		if err := unix.Close(fd); err != nil && !errors.Is(err, unix.EBADF) {
			return fmt.Errorf("close: %w", err)
		}
	}
	return nil
}

// isOwn says whether fd was opened by this process, or is closed. What the
// caller left open is never close-on-exec, or it would not be here.
func isOwn(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err != nil || flags&unix.FD_CLOEXEC != 0
}

// isPoller says whether fd is one of the runtime's own.
func isPoller(fd int) bool {
	if !isOwn(fd) {
		return false
	}
	buf := make([]byte, 64)
	n, err := unix.Readlink("/proc/self/fd/"+strconv.Itoa(fd), buf)
	link := string(buf[:max(n, 0)])
	return err == nil && (link == "anon_inode:[eventpoll]" || link == "anon_inode:[eventfd]")
}
