package fdpass

import (
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var kinds = map[string]int{"stream": unix.SOCK_STREAM, "seqpacket": unix.SOCK_SEQPACKET}

func send(t *testing.T, fd int, data string) {
	t.Helper()
	if err := unix.Sendto(fd, []byte(data), 0, nil); err != nil {
		t.Fatal(err)
	}
}

func TestWaitByte(t *testing.T) {
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, kind)
			if err := WaitByte(a, time.Millisecond); !errors.Is(err, ErrTimeout) {
				t.Errorf("nothing sent: %v", err)
			}
			send(t, b, "x")
			if err := WaitByte(a, time.Minute); err != nil {
				t.Errorf("a byte: %v", err)
			}
			if kind == unix.SOCK_SEQPACKET {
				send(t, b, "")
				if err := WaitByte(a, time.Millisecond); !errors.Is(err, ErrTimeout) {
					t.Errorf("an empty packet: %v", err)
				}
			}
			if err := unix.SetNonblock(a, true); err != nil {
				t.Fatal(err)
			}
			if err := WaitByte(a, time.Millisecond); !errors.Is(err, ErrTimeout) {
				t.Errorf("non-blocking: %v", err)
			}
			send(t, b, "more than one")
			if err := unix.Shutdown(b, unix.SHUT_WR); err != nil {
				t.Fatal(err)
			}
			if err := WaitByte(a, time.Minute); err != nil {
				t.Errorf("bytes before the end: %v", err)
			}
		})
	}
}

func TestWaitByteEnd(t *testing.T) {
	for name, kind := range kinds {
		for how, end := range map[string]func(fd int) error{
			"closed": unix.Close,
			"shut":   func(fd int) error { return unix.Shutdown(fd, unix.SHUT_WR) },
		} {
			t.Run(name+"/"+how, func(t *testing.T) {
				a, b := pair(t, kind)
				if err := end(b); err != nil {
					t.Fatal(err)
				}
				if err := WaitByte(a, time.Minute); !errors.Is(err, io.EOF) {
					t.Errorf("got %v, want EOF", err)
				}
			})
		}
		t.Run(name+"/unread", func(t *testing.T) {
			a, b := pair(t, kind)
			send(t, a, "nobody reads this")
			if err := unix.Close(b); err != nil {
				t.Fatal(err)
			}
			if err := WaitByte(a, time.Minute); !errors.Is(err, io.EOF) {
				t.Errorf("got %v, want EOF", err)
			}
		})
	}
}

func TestWaitWhileOpen(t *testing.T) {
	a, b := pair(t, unix.SOCK_STREAM)
	fd, other := pair(t, unix.SOCK_STREAM)
	send(t, b, "x") // a byte too many is not the end
	if err := WaitWhileOpen(a, fd, time.Millisecond); !errors.Is(err, ErrTimeout) {
		t.Errorf("nothing happened: %v", err)
	}
	if err := unix.Shutdown(b, unix.SHUT_WR); err != nil { // nor is the end of what the peer sends
		t.Fatal(err)
	}
	if err := WaitWhileOpen(a, fd, time.Millisecond); !errors.Is(err, ErrTimeout) {
		t.Errorf("the peer will not write: %v", err)
	}
	send(t, other, "x")
	if err := WaitWhileOpen(a, fd, time.Minute); err != nil {
		t.Errorf("readable: %v", err)
	}
	if err := unix.Close(b); err != nil {
		t.Fatal(err)
	}
	if err := WaitWhileOpen(a, fd, time.Minute); err != nil {
		t.Errorf("readable, and the peer gone: %v", err)
	}
	if _, err := unix.Read(fd, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := WaitWhileOpen(a, fd, time.Minute); !errors.Is(err, io.EOF) {
		t.Errorf("the peer is gone: %v", err)
	}
}

func TestSendStatus(t *testing.T) {
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, kind)
			for _, errno := range []unix.Errno{0, unix.EPERM, unix.ETIMEDOUT} {
				if err := SendStatus(a, errno); err != nil {
					t.Fatal(err)
				}
				buf := make([]byte, 8)
				n, err := unix.Read(b, buf)
				if err != nil || n != 4 || int32(binary.NativeEndian.Uint32(buf)) != -int32(errno) {
					t.Errorf("%d bytes %v, %v; want %d", n, buf[:n], err, -int32(errno))
				}
			}
			if err := unix.Close(b); err != nil {
				t.Fatal(err)
			}
			if err := SendStatus(a, 0); !errors.Is(err, unix.EPIPE) {
				t.Errorf("the peer is gone: %v", err)
			}
		})
	}
}

func TestSendByteToNobody(t *testing.T) {
	a, b := pair(t, unix.SOCK_STREAM)
	if err := unix.Shutdown(b, unix.SHUT_RD); err != nil {
		t.Fatal(err)
	}
	if err := SendByte(a); !errors.Is(err, unix.EPIPE) {
		t.Error(err)
	}
}
