package main

import (
	"errors"
	"fmt"
	"math"

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

func closeOthers(socket int) error {
	if socket > 3 {
		if err := closeRange(3, socket-1); err != nil {
			return err
		}
	}
	return closeRange(max(socket+1, 3), math.MaxInt32)
}

func closeRange(first, last int) error {
	err := unix.CloseRange(uint(first), uint(last), 0)
	if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) {
		return err
	}
	// Before Linux 5.9, or behind a seccomp filter: one by one.
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("getrlimit: %w", err)
	}
	for fd := first; fd <= last && uint64(fd) < limit.Max; fd++ {
		if err := unix.Close(fd); err != nil && !errors.Is(err, unix.EBADF) {
			return fmt.Errorf("close: %w", err)
		}
	}
	return nil
}
