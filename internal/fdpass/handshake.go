package fdpass

import (
	"encoding/binary"
	"errors"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// This file is the second half of the conversation, for sync-init: after the
// device was sent, the caller answers with one byte when he serves it, and gets
// four bytes that say how the mount went.

// ErrTimeout says that nothing arrived in the time given.
var ErrTimeout = errors.New("timed out")

// WaitByte waits for one byte on the socket, for at most limit. The error is
// io.EOF when the peer is gone or will send no more, and ErrTimeout at the
// limit. An empty packet is no byte. The socket may be non-blocking.
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

// WaitClosed waits until nobody holds the socket's other end. What arrives on
// it is of no interest. The socket may be non-blocking.
func WaitClosed(socket int) {
	buf := make([]byte, 256)
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(socket), Events: unix.POLLIN}}, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		n, _, err := unix.Recvfrom(socket, buf, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
		case err != nil, n == 0 && hungUp(socket):
			return
		}
	}
}

// WaitWhileOpen waits until fd can be read, for at most limit. The error is
// io.EOF when the socket's peer is gone before that, and ErrTimeout at the
// limit.
func WaitWhileOpen(socket, fd int, limit time.Duration) error {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(socket)}}
	if err := wait(fds, time.Now().Add(limit)); err != nil {
		return err
	}
	if fds[0].Revents != 0 {
		return nil
	}
	return io.EOF // the socket was asked for nothing but its end
}

// wait polls until one of fds has something to say.
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

// hungUp tells the end of a connection from an empty packet.
func hungUp(socket int) bool {
	fds := []unix.PollFd{{Fd: int32(socket), Events: unix.POLLRDHUP}}
	_, err := unix.Poll(fds, 0)
	return err != nil || fds[0].Revents&(unix.POLLHUP|unix.POLLRDHUP|unix.POLLERR|unix.POLLNVAL) != 0
}

// SendStatus sends how the mount went: 0, or the negative of an error, as an
// int32 in the machine's byte order. It never waits and never raises SIGPIPE.
// Four bytes that do not fit whole are an error.
func SendStatus(socket int, errno unix.Errno) error {
	status := binary.NativeEndian.AppendUint32(nil, uint32(-int32(errno)))
	for {
		n, err := unix.SendmsgN(socket, status, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if err == nil && n != len(status) {
			return io.ErrShortWrite
		}
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
