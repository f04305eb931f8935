package main

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// leave makes the process a daemon of its own: a session, / as directory,
// /dev/null as standard streams, no descriptor of the caller's but the socket,
// no signals. It does not fork: the caller may be waiting for this very
// process, and the main thread carries the credentials.
func leave(socket int) error {
	if _, err := unix.Setsid(); err != nil && !errors.Is(err, unix.EPERM) { // EPERM: it leads a group already
		return fmt.Errorf("setsid: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return fmt.Errorf("chdir: %w", err)
	}
	if err := closeStreams(socket); err != nil {
		return err
	}
	if err := closeOthers(socket); err != nil {
		return err
	}
	return ignoreSignals()
}

func closeStreams(socket int) error {
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("/dev/null: %w", err)
	}
	for fd := range 3 {
		if fd == socket || fd == null {
			continue
		}
		if err := unix.Dup3(null, fd, 0); err != nil {
			return fmt.Errorf("dup3: %w", err)
		}
	}
	return nil // closeOthers closes null
}

// closeOthers closes everything but the streams, the socket, and what belongs
// to the Go runtime: its poller exists if a caller gave us a non-blocking
// stream, and the runtime dies if it is closed.
func closeOthers(socket int) error {
	fds, err := openDescriptors()
	if err != nil {
		return fmt.Errorf("list descriptors: %w", err)
	}
	for _, fd := range fds {
		if fd <= unix.Stderr || fd == socket || isPoller(fd) {
			continue
		}
		// The descriptor of the list itself is among them, and closed already.
		if err := unix.Close(fd); err != nil && !errors.Is(err, unix.EBADF) {
			return fmt.Errorf("close: %w", err)
		}
	}
	return nil
}

func openDescriptors() (fds []int, err error) {
	dir, err := unix.Open("/proc/self/fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	buf := make([]byte, 4096)
	for {
		n, err := unix.ReadDirent(dir, buf)
		if err != nil || n == 0 {
			return fds, err
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			fd, err := strconv.Atoi(name)
			if err != nil {
				return nil, err
			}
			fds = append(fds, fd)
		}
	}
}

// isPoller says whether fd is one of the runtime's own. What the caller left
// open is never close-on-exec, or it would not be here.
func isPoller(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		return false
	}
	buf := make([]byte, 64)
	n, err := unix.Readlink("/proc/self/fd/"+strconv.Itoa(fd), buf)
	link := string(buf[:max(n, 0)])
	return err == nil && (link == "anon_inode:[eventpoll]" || link == "anon_inode:[eventfd]")
}
