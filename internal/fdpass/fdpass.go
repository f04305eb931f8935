// Package fdpass is the protocol on the comm socket: one byte with one descriptor, and the
// handshake of sync-init. The caller receives in package helperproc.
package fdpass

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// ErrTimeout says that nothing arrived in time.
var ErrTimeout = errors.New("timed out")

// ParseFD reads a descriptor's number: decimal digits and nothing else.
func ParseFD(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31) // takes no sign
	return int(n), err
}

// Check says whether fd is a socket that can carry a descriptor. What cannot be examined
// is refused. Being open is not enough: a number that the caller left closed may belong to
// the Go runtime.
func Check(fd int) error {
	var st unix.Stat_t
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil || unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return fmt.Errorf("file descriptor %d is not a socket, can't send fuse fd", fd)
	}
	if domain != unix.AF_UNIX {
		return fmt.Errorf("file descriptor %d is not a Unix socket, can't send fuse fd", fd)
	}
	// The end of the peer of a datagram socket does not show, nor that of none.
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || (kind != unix.SOCK_STREAM && kind != unix.SOCK_SEQPACKET) {
		return fmt.Errorf("file descriptor %d is neither a stream nor a seqpacket socket, can't send fuse fd", fd)
	}
	if _, err := unix.Getpeername(fd); err != nil {
		return fmt.Errorf("file descriptor %d is not connected, can't send fuse fd", fd)
	}
	return nil
}

// Send sends one zero byte with the descriptor fd attached, in one message. fd stays open.
func Send(socket, fd int) error { return sendOne(socket, []byte{0}, unix.UnixRights(fd)) }

// SendByte tells the helper that its device is served. It never raises SIGPIPE.
func SendByte(socket int) error { return sendOne(socket, []byte{0}, nil) }

// SendStatus sends the result of the mount: 0, or the negative of an error, as an int32 in
// the machine's byte order.
func SendStatus(socket int, errno unix.Errno) error {
	return sendOne(socket, binary.NativeEndian.AppendUint32(nil, uint32(-int32(errno))), nil)
}

// sendOne sends one message. It never waits and never raises SIGPIPE: a full socket or an
// absent peer is an error.
func sendOne(socket int, bytes, rights []byte) error {
	for {
		n, err := unix.SendmsgN(socket, bytes, rights, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if err == nil && n != len(bytes) {
			return io.ErrShortWrite
		}
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// WaitByte waits for one byte on the socket, for at most limit. The error is io.EOF when
// the peer is gone or will send no more, and ErrTimeout at the limit. An empty packet is
// no byte. The socket may be non-blocking.
func WaitByte(socket int, limit time.Duration) error {
	end := time.Now().Add(limit)
	buf := make([]byte, 1)
	for {
		if err := wait([]unix.PollFd{{Fd: int32(socket), Events: unix.POLLIN}}, end); err != nil {
			return err
		}
		n, _, err := unix.Recvfrom(socket, buf, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
		case errors.Is(err, unix.ECONNRESET): // closed with something unread
			return io.EOF
		case err != nil:
			return err
		case n > 0:
			return nil
		case hungUp(socket):
			return io.EOF
		}
	}
}

// WaitClosed waits until nobody holds the socket's other end. What arrives is ignored.
func WaitClosed(socket int) {
	for {
		if err := WaitByte(socket, 24*time.Hour); err != nil && !errors.Is(err, ErrTimeout) {
			return
		}
	}
}

// WaitWhileOpen waits until fd is readable, for at most limit. The error is io.EOF when
// the socket's peer is gone before that, and ErrTimeout at the limit.
func WaitWhileOpen(socket, fd int, limit time.Duration) error {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(socket)}}
	if err := wait(fds, time.Now().Add(limit)); err != nil {
		return err
	}
	if fds[0].Revents != 0 {
		return nil
	}
	return io.EOF // the socket was polled for nothing but its end
}

// wait polls until one of fds has an event.
func wait(fds []unix.PollFd, end time.Time) error {
	for {
		left := time.Until(end)
		if left <= 0 {
			return ErrTimeout
		}
		n, err := unix.Poll(fds, int(left/time.Millisecond)+1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if err == nil && n > 0 {
			return nil
		}
	}
}

// hungUp distinguishes the end of a connection from an empty packet.
func hungUp(socket int) bool {
	fds := []unix.PollFd{{Fd: int32(socket), Events: unix.POLLRDHUP}}
	_, err := unix.Poll(fds, 0)
	return err != nil || fds[0].Revents&(unix.POLLHUP|unix.POLLRDHUP|unix.POLLERR|unix.POLLNVAL) != 0
}
