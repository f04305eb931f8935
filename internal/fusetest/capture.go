package fusetest

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// capture collects what a program writes to one of its streams. It is read
// while the program runs, so that a full pipe never blocks it; after the exit
// the rest is taken without waiting for others who still hold the pipe.
type capture struct {
	r    *os.File
	data []byte
	err  error
	done chan struct{}
	held bool
}

// newCapture returns a capture, and the pipe's end for the program.
func newCapture() (*capture, *os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	return &capture{r: r, done: make(chan struct{})}, w, nil
}

// run starts the reading.
func (c *capture) run() {
	if c == nil {
		return
	}
	go func() {
		defer close(c.done)
		buf := make([]byte, 32<<10)
		for {
			n, err := c.r.Read(buf)
			c.data = append(c.data, buf[:n]...)
			if err != nil {
				return // EOF, or the deadline of finish
			}
		}
	}()
}

// finish stops the reading and takes what is left. It closes the pipe.
func (c *capture) finish() error {
	if c == nil {
		return nil
	}
	if err := c.r.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return fmt.Errorf("output pipe: %w", err)
	}
	<-c.done
	if err := c.r.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("output pipe: %w", err)
	}
	raw, err := c.r.SyscallConn()
	if err != nil {
		return fmt.Errorf("output pipe: %w", err)
	}
	err = raw.Read(func(fd uintptr) bool {
		c.rest(int(fd))
		return true
	})
	return errors.Join(err, c.err, c.r.Close())
}

// rest reads until the pipe is empty or at its end.
func (c *capture) rest(fd int) {
	buf := make([]byte, 32<<10)
	for {
		n, err := unix.Read(fd, buf)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			c.held = true
			return
		case err != nil || n == 0:
			c.err = os.NewSyscallError("read", err)
			return
		}
		c.data = append(c.data, buf[:n]...)
	}
}

// abandon closes a pipe that nobody will write to.
func (c *capture) abandon() error {
	if c == nil {
		return nil
	}
	return c.r.Close()
}

// isHeld says whether another process still has the stream open.
func (c *capture) isHeld() bool { return c != nil && c.held }

// String returns what was collected.
func (c *capture) String() string {
	if c == nil {
		return ""
	}
	return string(c.data)
}
