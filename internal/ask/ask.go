//go:build linux

// Package ask is the client's side of the mount service (package service).
package ask

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/rawfile"
	"github.com/go-fusermount/fusermount/internal/secure"
	"github.com/go-fusermount/fusermount/internal/wire"
)

// Socket is where the service listens. Outside of secure execution SocketVariable names another.
const (
	Socket         = "/run/fusermount/socket"
	SocketVariable = "FUSERMOUNT_SOCKET"
)

// Path is the socket to use, where variable is the value of SocketVariable.
func Path(variable string) string {
	if variable == "" || secure.Execution() {
		return Socket
	}
	return variable
}

// Conn is a connection to the service, for one request.
type Conn struct {
	fd int
	// wait waits until the socket can be read; its error ends the request.
	wait   func(fd int) error
	unmake func() error // removes the proof; nil: there is none
}

// ErrNoService says that nobody listens.
var ErrNoService = errors.New("no mount service is there")

// connectLimit is how long the service may take to accept, where its backlog is full.
const connectLimit = 3 * time.Second

// Connect connects. wait waits until a descriptor can be read; nil waits as long as it takes.
func Connect(path string, wait func(fd int) error) (*Conn, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	// Where too many wait already, connect waits as well, and nothing but its own limit would end it.
	limit := unix.NsecToTimeval(int64(connectLimit))
	err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit)
	if err == nil {
		err = rawfile.RetryEINTR(func() error { return unix.Connect(fd, &unix.SockaddrUnix{Name: path}) })
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w (%s): %w", ErrNoService, path, err), unix.Close(fd))
	}
	if wait == nil {
		wait = readable
	}
	return &Conn{fd: fd, wait: wait}, nil
}

func readable(fd int) error {
	return rawfile.RetryEINTR(func() error {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		return err
	})
}

// FD is the socket, which stays c's: it can be read when the answer is there.
func (c *Conn) FD() int { return c.fd }

// Close ends the connection, and removes the proof.
func (c *Conn) Close() error { return errors.Join(c.Unprove(), unix.Close(c.fd)) }

// Unprove removes the file that proves that the caller may write to the mountpoint. It is of no use
// once the device is there.
func (c *Conn) Unprove() error {
	unmake := c.unmake
	if c.unmake = nil; unmake == nil {
		return nil
	}
	return unmake()
}

// Do sends a request as Send does, and waits for the answer.
func (c *Conn) Do(r *wire.Request, mountpoint int, fds ...int) (wire.Reply, error) {
	if err := c.Send(r, mountpoint, fds...); err != nil {
		return wire.Reply{}, err
	}
	if err := c.wait(c.fd); err != nil {
		return wire.Reply{}, err
	}
	return c.Reply()
}

// Send sends a request with its descriptors, which stay the caller's. The mountpoint of a mount over
// a directory is given as a descriptor, otherwise -1: for the time of the request a file is made in
// it, which proves to the service that the caller may write there.
func (c *Conn) Send(r *wire.Request, mountpoint int, fds ...int) error {
	if err := r.Check(); err != nil {
		return err
	}
	hello, err := c.Greet()
	if err != nil {
		return err
	}
	if mountpoint >= 0 {
		if unmake, err := prove(mountpoint, hello.Nonce.Name()); err == nil {
			c.unmake = unmake
		} // without the proof, the service says what is missing
	}
	err = rawfile.RetryEINTR(func() error {
		return unix.Sendmsg(c.fd, r.Append(nil), unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL)
	})
	if err != nil && !errors.Is(err, unix.EPIPE) { // EPIPE: the answer may be there already
		return os.NewSyscallError("sendmsg", err)
	}
	return nil
}

// Reply takes the answer. It does not wait: the error is EAGAIN while there is none.
func (c *Conn) Reply() (r wire.Reply, err error) {
	message, err := c.receive()
	if err != nil {
		return r, err
	}
	if r, err = wire.ParseReply(message); err != nil {
		return r, fmt.Errorf("the mount service: %w", err)
	}
	return r, c.Unprove()
}

// Greet waits for the service's first message. Send does it, too: only one of them can.
func (c *Conn) Greet() (h wire.Hello, err error) {
	if err := c.wait(c.fd); err != nil {
		return h, err
	}
	message, err := c.receive()
	if err != nil {
		return h, err
	}
	h, err = wire.ParseHello(message)
	switch {
	case err != nil:
		err = fmt.Errorf("the mount service: %w", err)
	case h.Version != wire.Version:
		err = fmt.Errorf("the mount service speaks version %d, and this program version %d", h.Version, wire.Version)
	}
	return h, err
}

// prove makes a file in the directory at, and gives what removes it.
func prove(at int, name string) (unmake func() error, err error) {
	fd, err := rawfile.Openat(at, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	dir, err := unix.FcntlInt(uintptr(at), unix.F_DUPFD_CLOEXEC, 0) // the caller may close theirs
	if err = errors.Join(err, unix.Close(fd)); err != nil {
		return nil, errors.Join(err, unix.Unlinkat(at, name, 0))
	}
	return func() error {
		err := rawfile.RetryEINTR(func() error { return unix.Unlinkat(dir, name, 0) })
		if errors.Is(err, unix.ENOENT) { // somebody else has removed it
			err = nil
		}
		return errors.Join(os.NewSyscallError("unlinkat", err), unix.Close(dir))
	}, nil
}

// ErrEnded says that the service has ended without an answer.
var ErrEnded = errors.New("the mount service has ended the connection without an answer")

// receive takes one message, and does not wait. It asks for the length first: most replies are
// short, and the longest has a quarter of a megabyte.
func (c *Conn) receive() (message []byte, err error) {
	take := func(buf []byte, flags int) (n int, err error) {
		err = rawfile.RetryEINTR(func() (err error) {
			n, _, err = unix.Recvfrom(c.fd, buf, unix.MSG_DONTWAIT|flags)
			return err
		})
		if errors.Is(err, unix.ECONNRESET) || err == nil && n == 0 {
			err = ErrEnded
		}
		return n, err
	}
	length, err := take(make([]byte, 1), unix.MSG_PEEK|unix.MSG_TRUNC)
	if err != nil {
		return nil, err
	}
	message = make([]byte, min(length, wire.MaxReply))
	n, err := take(message, 0)
	return message[:n], err
}
