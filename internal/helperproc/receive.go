//go:build linux

package helperproc

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// None of this waits: EAGAIN says that nothing is there yet.

// ErrReply says that the helper sent something else than one byte with one descriptor.
var ErrReply = errors.New("malformed reply")

// maxRights is how many descriptors one message can carry (SCM_MAX_FD): with room for all
// of them, each surplus one can be closed.
const maxRights = 253

// receive takes the helper's reply: one byte with one descriptor, which is close-on-exec
// and the caller's. The error is io.EOF when nobody has the other end any more.
// Descriptors of a malformed reply are closed.
func receive(socket int) (fd int, err error) {
	buf, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4*maxRights))
	n, oobn, flags, err := recvmsg(socket, buf, oob)
	if err != nil {
		return -1, err
	}
	fds, err := rights(oob[:oobn])
	switch {
	case err != nil:
	case flags&unix.MSG_CTRUNC != 0:
		err = fmt.Errorf("%w: descriptors were lost, perhaps for want of free numbers", ErrReply)
	case n == 0 && len(fds) == 0:
		return -1, io.EOF
	case n != 1 || len(fds) != 1:
		err = fmt.Errorf("%w: %d bytes with %d descriptors", ErrReply, n, len(fds))
	default:
		return fds[0], nil
	}
	for _, fd := range fds {
		err = errors.Join(err, unix.Close(fd))
	}
	return -1, err
}

func recvmsg(socket int, buf, oob []byte) (n, oobn, flags int, err error) {
	for {
		n, oobn, flags, _, err = unix.Recvmsg(socket, buf, oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ECONNRESET): // ended with something of ours unread
			return 0, 0, 0, io.EOF
		default:
			return n, oobn, flags, err
		}
	}
}

// rights collects the descriptors of all control messages, of whatever kinds.
func rights(oob []byte) (all []int, err error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReply, err)
	}
	for i := range messages {
		fds, e := unix.ParseUnixRights(&messages[i])
		if e != nil {
			err = fmt.Errorf("%w: %w", ErrReply, e)
		}
		all = append(all, fds...)
	}
	return all, err
}

// receiveSome takes bytes, at least one; io.EOF as for receive. Descriptors that
// come along are dropped by the kernel.
func receiveSome(socket int, buf []byte) (int, error) {
	n, _, _, err := recvmsg(socket, buf, nil)
	if err == nil && n == 0 {
		err = io.EOF
	}
	return n, err
}
