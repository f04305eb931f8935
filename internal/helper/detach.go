package helper

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/rawfile"
	"github.com/go-fusermount/fusermount/internal/signals"
)

// detach makes the process a daemon of its own: a session, / as directory, no
// descriptor of the caller's but the streams and the socket, no signals. It does
// not fork: the caller may be waiting for this very process, and the main thread
// carries the credentials.
func detach(socket int) error {
	if err := newSession(); err != nil {
		return fmt.Errorf("setsid: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return fmt.Errorf("chdir: %w", err)
	}
	if err := closeOthers(socket); err != nil {
		return err
	}
	return signals.Ignore()
}

// newSession makes one. Who leads a group may not, and leaves it first for his
// parent's; where that is in another session he stays in the one he is in.
func newSession() error {
	_, err := unix.Setsid()
	if !errors.Is(err, unix.EPERM) {
		return err
	}
	group, err := unix.Getpgid(unix.Getppid())
	if err == nil {
		err = unix.Setpgid(0, group)
	}
	if err == nil {
		_, err = unix.Setsid()
	}
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// openNull opens /dev/null to take the streams' place. It is never a stream itself:
// the runtime has opened those that were missing.
func openNull() (int, error) {
	null, err := rawfile.Open("/dev/null", unix.O_RDWR, 0)
	if err != nil {
		return -1, fmt.Errorf("/dev/null: %w", err)
	}
	return null, nil
}

// closeStreams puts null in the streams' place, the one for errors last: until then
// somebody can be told of them.
func closeStreams(null, socket int) error {
	for fd := range 3 {
		if fd == socket {
			continue
		}
		if err := rawfile.RetryEINTR(func() error { return unix.Dup3(null, fd, 0) }); err != nil {
			return fmt.Errorf("dup3: %w", err)
		}
	}
	return nil
}
