// Package rawfile reads and writes files without package os: an os.File makes the Go runtime set
// up its poller, even for a file that cannot be polled. That costs more than the read, and the
// auto_unmount watcher, which closes all inherited descriptors, would close the poller's.
package rawfile

import (
	"errors"
	"io/fs"
	"math"
	"strconv"

	"golang.org/x/sys/unix"
)

// RetryEINTR repeats a call while a signal interrupts it.
func RetryEINTR(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// Open opens a file, close-on-exec; perm counts for one that flags create.
func Open(path string, flags int, perm uint32) (int, error) {
	return Openat(unix.AT_FDCWD, path, flags, perm)
}

// Openat is Open with a path that begins at a directory.
func Openat(dir int, path string, flags int, perm uint32) (fd int, err error) {
	err = RetryEINTR(func() (err error) {
		fd, err = unix.Openat(dir, path, flags|unix.O_CLOEXEC, perm)
		return err
	})
	return fd, err
}

// Text gives the whole text of a file, whatever its size: files of procfs tell none.
func Text(path string) (string, error) {
	fd, err := Open(path, unix.O_RDONLY, 0)
	if err != nil {
		return "", &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	text, err := TextOf(fd, math.MaxInt)
	if err != nil {
		return "", &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return text, nil
}

// TextOf gives the text of a descriptor, which stays the caller's, from its position to its
// end or limit. Nearly all files fit into the buffer on the stack.
func TextOf(fd, limit int) (string, error) {
	var space [4096]byte
	buf, n := space[:], 0
	for n < limit {
		if n == len(buf) {
			buf = append(make([]byte, 0, 4*len(buf)), buf...)
			buf = buf[:cap(buf)]
		}
		more, err := unix.Read(fd, buf[n:min(len(buf), limit)])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return "", err
		case more == 0:
			return string(buf[:n]), nil
		}
		n += more
	}
	return string(buf[:n]), nil
}

// WriteAll writes the whole of text to a descriptor, which stays the caller's.
func WriteAll(fd int, text string) error {
	for text != "" {
		n, err := unix.Write(fd, []byte(text))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		text = text[n:]
	}
	return nil
}

// Numbers lists the names in a directory of procfs that are numbers: processes, threads or
// descriptors. The last descriptor is that of the list itself, and closed again.
func Numbers(path string) (list []int, err error) {
	dir, err := Open(path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	buf := make([]byte, 16<<10)
	for {
		n, err := unix.ReadDirent(dir, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return list, err
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			if number, err := strconv.Atoi(name); err == nil {
				list = append(list, number)
			}
		}
	}
}
