package collect

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/ask"
	"github.com/go-fusermount/fusermount/internal/diagnose"
	"github.com/go-fusermount/fusermount/internal/mount"
)

// serviceLimit is how long the mount service may take to greet, in milliseconds.
const serviceLimit = 2000

// Service greets the mount service.
func Service() diagnose.Service {
	s := diagnose.Service{Path: ask.Path(os.Getenv(ask.SocketVariable))}
	c, err := ask.Connect(s.Path, func(fd int) error {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, serviceLimit)
		if err == nil && n == 0 {
			err = unix.ETIMEDOUT
		}
		return err
	})
	if err == nil {
		_, err = c.Greet()
		err = errors.Join(err, c.Close())
	}
	s.Absent = errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR)
	s.Answers = err == nil
	if err != nil && !s.Absent {
		s.Error = s.Path + ": " + mount.Strerror(err)
	}
	return s
}
