package helpertest

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/testsys"
)

// Received is what was received from a comm socket.
type Received struct {
	// Dev is the first descriptor, or nil. The receiver owns it. All others are closed at
	// once; NFDs counts them too.
	Dev  *os.File
	NFDs int
	// Bytes are the raw bytes, Messages how many receives gave some.
	Bytes    []byte
	Messages int
	// Truncated is MSG_CTRUNC: the kernel dropped descriptors.
	Truncated bool
	// EOF reports whether no process has the other end open any more.
	EOF bool
}

// merge appends what was received later.
func (r *Received) merge(m Received) {
	if r.Dev == nil {
		r.Dev = m.Dev
	} else if m.Dev != nil {
		testsys.MustClose(m.Dev)
	}
	r.NFDs += m.NFDs
	r.Bytes = append(r.Bytes, m.Bytes...)
	r.Messages += m.Messages
	r.Truncated = r.Truncated || m.Truncated
	r.EOF = r.EOF || m.EOF
}

// socketTypes are the kinds as socketpair(2) takes them.
var socketTypes = map[SocketKind]int{Stream: unix.SOCK_STREAM, Seqpacket: unix.SOCK_SEQPACKET, Dgram: unix.SOCK_DGRAM}

// fill writes to f until it takes no more.
func fill(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("comm socket: %w", err)
	}
	var sendErr error
	err = raw.Control(func(fd uintptr) {
		for size := 4096; size > 0; {
			sendErr = unix.Send(int(fd), make([]byte, size), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
			if errors.Is(sendErr, unix.EAGAIN) {
				size /= 2
				sendErr = nil
			} else if sendErr != nil {
				return
			}
		}
	})
	return errors.Join(err, os.NewSyscallError("send", sendErr))
}

// receive takes one message. It waits until the deadline; with the zero time it does not
// wait, and an empty socket is os.ErrDeadlineExceeded.
func receive(sock *os.File, deadline time.Time) (Received, error) {
	if err := sock.SetReadDeadline(deadline); err != nil {
		return Received{}, fmt.Errorf("comm socket: %w", err)
	}
	raw, err := sock.SyscallConn()
	if err != nil {
		return Received{}, fmt.Errorf("comm socket: %w", err)
	}
	var got Received
	var recvErr error
	err = raw.Read(func(fd uintptr) bool {
		got, recvErr = recvmsg(int(fd))
		return !errors.Is(recvErr, unix.EAGAIN) || deadline.IsZero()
	})
	if errors.Is(recvErr, unix.EAGAIN) && err == nil {
		recvErr = os.ErrDeadlineExceeded
	}
	return got, errors.Join(err, recvErr)
}

func recvmsg(fd int) (Received, error) {
	buf, oob := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(4*253))
	var n, oobn, flags int
	err := error(unix.EINTR)
	for errors.Is(err, unix.EINTR) {
		n, oobn, flags, _, err = unix.Recvmsg(fd, buf, oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	}
	if err != nil {
		return Received{}, os.NewSyscallError("recvmsg", err)
	}
	got := Received{Bytes: buf[:n:n], Truncated: flags&unix.MSG_CTRUNC != 0, EOF: n == 0 && oobn == 0}
	if !got.EOF {
		got.Messages = 1
	}
	fds, err := rights(oob[:oobn])
	for _, fd := range fds {
		got.merge(Received{Dev: os.NewFile(uintptr(fd), fusetest.DevicePath), NFDs: 1})
	}
	return got, err
}

// rights collects the descriptors of all control messages.
func rights(oob []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("control data: %w", err)
	}
	var all []int
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return all, fmt.Errorf("control message: %w", err)
		}
		all = append(all, fds...)
	}
	return all, nil
}

// drain takes everything that is in the socket, without waiting.
func drain(sock *os.File) (Received, error) {
	var all Received
	for {
		m, err := receive(sock, time.Time{})
		all.merge(m)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return all, nil
		case errors.Is(err, unix.ECONNRESET): // a peer that died with unread data
			all.EOF = true
			return all, nil
		case err != nil || m.EOF:
			return all, err
		}
	}
}
