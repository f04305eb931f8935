// Package fdpass is the conversation on the comm socket: one byte and one
// descriptor, and the two phases of sync-init. The helper's end stands in
// fdpass.go and handshake.go, the caller's in receive.go.
package fdpass

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// ErrNotNumber says that a descriptor's number is none.
var ErrNotNumber = errors.New("not a descriptor number")

// ParseFD reads a descriptor's number: decimal digits and nothing else.
func ParseFD(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || text[0] == '+' {
		return 0, ErrNotNumber
	}
	return int(n), nil
}

// NotSocketError says that a descriptor cannot carry the reply.
type NotSocketError struct{ FD int }

func (e *NotSocketError) Error() string {
	return fmt.Sprintf("file descriptor %d is not a socket, can't send fuse fd", e.FD)
}

// Check says whether fd is a socket that can carry a descriptor. It fails
// closed: what cannot be examined is refused. A descriptor that is closed for
// the caller may belong to the Go runtime, so being open does not suffice.
func Check(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return &NotSocketError{FD: fd}
	}
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return &NotSocketError{FD: fd}
	}
	if domain != unix.AF_UNIX {
		return fmt.Errorf("file descriptor %d is not a Unix socket, can't send fuse fd", fd)
	}
	// A datagram socket never tells that its peer is gone.
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || (kind != unix.SOCK_STREAM && kind != unix.SOCK_SEQPACKET) {
		return fmt.Errorf("file descriptor %d is neither a stream nor a seqpacket socket, can't send fuse fd", fd)
	}
	// One that never had a peer would never tell of its end, either.
	if _, err := unix.Getpeername(fd); err != nil {
		return fmt.Errorf("file descriptor %d is not connected, can't send fuse fd", fd)
	}
	return nil
}

// Send sends one zero byte with the descriptor fd attached, in one message. It
// never waits and never raises SIGPIPE: a full socket or an absent peer is an
// error. fd stays open.
func Send(socket, fd int) error {
	for {
		_, err := unix.SendmsgN(socket, []byte{0}, unix.UnixRights(fd), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
