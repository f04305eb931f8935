package examples

import (
	"errors"

	"golang.org/x/sys/unix"
)

// These take plain system calls in the place of package os, whose poller must
// not touch FUSE files; see fuseserver.Server.

// list returns the names in a directory.
func list(dir string) (names []string, err error) {
	err = withFile(dir, unix.O_DIRECTORY, func(fd int, buf []byte) (int, error) {
		n, err := unix.ReadDirent(fd, buf)
		if err == nil {
			_, _, names = unix.ParseDirent(buf[:n], -1, names)
		}
		return n, err
	})
	return names, err
}

// read returns a file's content.
func read(path string) (text string, err error) {
	err = withFile(path, 0, func(fd int, buf []byte) (int, error) {
		n, err := unix.Read(fd, buf)
		if err == nil {
			text += string(buf[:n])
		}
		return n, err
	})
	return text, err
}

// withFile opens a file and calls next until it returns 0 or an error.
func withFile(path string, flags int, next func(fd int, buf []byte) (int, error)) (err error) {
	fd, err := again(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|flags, 0) })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	buf := make([]byte, 4096)
	for {
		n, err := again(func() (int, error) { return next(fd, buf) })
		if n == 0 || err != nil {
			return err
		}
	}
}

// again repeats a call that a signal interrupted.
func again(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
