package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"bazil.org/fuse"
	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
)

// bazil.org/fuse has no door for a device that is open already: it runs
// "fusermount3" from PATH, and gets one over a socket. So it is given a PATH on
// which that is this very program, which fetches the device from its parent. The
// other libraries have "/dev/fd/N" for this; see README.md for what bazil.org/fuse
// would need.

const (
	nameForLibrary = "fusermount3"
	socketVariable = "HELLO_DEVICE" // where the parent waits
)

// connect has the library serve m's device.
func connect(m *fusermount.Mounted) (conn *fuse.Conn, err error) {
	dir, err := os.MkdirTemp("", "hello")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "socket"), Net: "unix"})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, listener.Close()) }()
	if err := standIn(dir); err != nil {
		return nil, err
	}
	sent := make(chan error, 1)
	go func() { sent <- sendTo(listener, int(m.File().Fd())) }()
	if conn, err = fuse.Mount(m.Mountpoint()); err != nil {
		return nil, err
	}
	return conn, <-sent
}

// standIn makes this program the one that the library finds.
func standIn(dir string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return errors.Join(os.Symlink(self, filepath.Join(dir, nameForLibrary)),
		os.Setenv("PATH", dir), os.Setenv(socketVariable, filepath.Join(dir, "socket")))
}

func sendTo(listener *net.UnixListener, fd int) error {
	child, err := listener.AcceptUnix()
	if err != nil {
		return err
	}
	_, _, err = child.WriteMsgUnix([]byte{0}, unix.UnixRights(fd), nil)
	return errors.Join(err, child.Close())
}

// calledByLibrary says whether this process was started as the helper.
func calledByLibrary() bool {
	return filepath.Base(os.Args[0]) == nameForLibrary && os.Getenv(socketVariable) != ""
}

// handOver fetches the device from the parent, and sends it on as a helper does.
func handOver() error {
	parent, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: os.Getenv(socketVariable), Net: "unix"})
	if err != nil {
		return err
	}
	rights := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := parent.ReadMsgUnix(make([]byte, 1), rights)
	if err != nil {
		return err
	}
	var socket int
	if _, err := fmt.Sscan(os.Getenv("_FUSE_COMMFD"), &socket); err != nil {
		return err
	}
	// Control data can be passed on as it came: the number is this process's own.
	return errors.Join(unix.Sendmsg(socket, []byte{0}, rights[:n], nil, 0), parent.Close())
}
