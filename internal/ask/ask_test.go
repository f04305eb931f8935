//go:build linux

package ask

import (
	"errors"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A service that accepts nobody does not keep its clients for ever.
func TestConnectFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	listener, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(listener)
	if err := errors.Join(unix.Bind(listener, &unix.SockaddrUnix{Name: path}), unix.Listen(listener, 1)); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		c, err := Connect(path, nil)
		if errors.Is(err, ErrNoService) && errors.Is(err, unix.EAGAIN) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	t.Error("ten clients are connected to a backlog of one")
}
