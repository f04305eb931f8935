//go:build linux

package helperproc

import (
	"errors"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fdpass"
)

func pair(t *testing.T, kind int) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Close(fds[0])
		_ = unix.Close(fds[1])
	})
	return fds[0], fds[1]
}

// open counts this process's descriptors.
func open(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

func TestReceive(t *testing.T) {
	for name, kind := range map[string]int{"stream": unix.SOCK_STREAM, "seqpacket": unix.SOCK_SEQPACKET} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, kind)
			if _, err := receive(b); !errors.Is(err, unix.EAGAIN) {
				t.Errorf("from an empty socket: %v", err)
			}
			if err := fdpass.Send(a, 2); err != nil {
				t.Fatal(err)
			}
			fd, err := receive(b)
			if err != nil {
				t.Fatal(err)
			}
			flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
			if err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("flags %x, %v; want close-on-exec", flags, err)
			}
			if err := unix.Close(fd); err != nil {
				t.Error(err)
			}
			if err := unix.Shutdown(a, unix.SHUT_WR); err != nil {
				t.Fatal(err)
			}
			if _, err := receive(b); !errors.Is(err, io.EOF) {
				t.Errorf("from a closed socket: %v", err)
			}
		})
	}
}

// A malformed reply is refused, and no descriptor stays open.
func TestReceiveMalformed(t *testing.T) {
	for name, send := range map[string]func(socket int) error{
		"no descriptor":   func(s int) error { return unix.Sendmsg(s, []byte{0}, nil, nil, 0) },
		"two descriptors": func(s int) error { return unix.Sendmsg(s, []byte{0}, unix.UnixRights(0, 1), nil, 0) },
		"as many as go": func(s int) error {
			return unix.Sendmsg(s, []byte{0}, unix.UnixRights(make([]int, maxRights)...), nil, 0)
		},
		"something else": func(s int) error {
			if err := unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
				return err
			}
			credentials := unix.UnixCredentials(&unix.Ucred{Pid: int32(os.Getpid()), Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid())})
			return unix.Sendmsg(s, []byte{0}, append(credentials, unix.UnixRights(0)...), nil, 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, unix.SOCK_STREAM)
			if err := unix.SetsockoptInt(b, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); name == "something else" && err != nil {
				t.Fatal(err)
			}
			before := open(t)
			if err := send(a); err != nil {
				t.Fatal(err)
			}
			if fd, err := receive(b); !errors.Is(err, ErrReply) {
				t.Errorf("%d, %v", fd, err)
			}
			if now := open(t); now != before {
				t.Errorf("%d descriptors, before %d", now, before)
			}
		})
	}
}

// Without a free number the descriptor is lost, which is an error.
func TestReceiveTruncated(t *testing.T) {
	a, b := pair(t, unix.SOCK_STREAM)
	if err := fdpass.Send(a, 2); err != nil {
		t.Fatal(err)
	}
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	none := old
	none.Cur = 0
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	_, got := receive(b)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(got, ErrReply) {
		t.Error(got)
	}
}

func TestReceiveSome(t *testing.T) {
	a, b := pair(t, unix.SOCK_STREAM)
	buf := make([]byte, 4)
	if _, err := receiveSome(b, buf); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("from an empty socket: %v", err)
	}
	before := open(t)
	if err := fdpass.Send(a, 2); err != nil { // the descriptor is not wanted
		t.Fatal(err)
	}
	if n, err := receiveSome(b, buf); n != 1 || err != nil || open(t) != before {
		t.Errorf("%d, %v, %d descriptors, before %d", n, err, open(t), before)
	}
	if err := fdpass.SendByte(b); err != nil {
		t.Error(err)
	}
	if err := unix.Shutdown(a, unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	if _, err := receiveSome(b, buf); !errors.Is(err, io.EOF) {
		t.Errorf("from a closed socket: %v", err)
	}
}
