//go:build linux

package helperproc

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fdpass"
	"github.com/go-fusermount/fusermount/internal/fuseerr"
)

// Error is an error of a call that has run a helper.
type Error struct {
	Path       string
	ExitStatus int // -1 where there is none
	Messages   []string
	Err        error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Fail adds what is known of the helper to an error, after End.
func (p *Proc) Fail(err error) error {
	if err == nil {
		return nil
	}
	return &Error{Path: p.path, ExitStatus: p.ExitStatus(), Messages: p.Messages(), Err: err}
}

// Messages are the lines that the helper has written so far, without its name.
func (p *Proc) Messages() []string { return p.output.messages() }

// ExitStatus is -1 if a signal ended the helper, if it still runs, or if another part of
// this process has taken the status.
func (p *Proc) ExitStatus() int {
	if !p.reaped || p.lost {
		return -1
	}
	return p.status.ExitStatus()
}

// StatusLost reports whether another part of this process has taken the status.
func (p *Proc) StatusLost() bool { return p.lost }

// Reason is why a helper that has ended failed, after End.
func (p *Proc) Reason() error {
	if err := classify(p.Messages()); err != nil && p.ExitStatus() != 0 {
		return err
	}
	switch {
	case !p.reaped:
		return errors.New("it does not end")
	case p.lost:
		return errors.New("it ended without a word, and something else in this process took its exit status")
	case p.status.Signaled():
		return fmt.Errorf("it was ended by a signal: %v", p.status.Signal())
	case p.status.ExitStatus() == 0:
		return fuseerr.Wrap("it sent no device and said that all is well", fuseerr.ErrBadReply)
	}
	return fmt.Errorf("exit status %d, without a word", p.status.ExitStatus())
}

// Gone is closed when the helper has ended or was given up, after Dismiss or End.
func (p *Proc) Gone() <-chan struct{} { return p.gone }

// Keep lets the helper run on, whatever becomes of the context.
func (p *Proc) Keep() {
	p.ctx.close()
	p.output.drain()
}

// End ends a helper that is not wanted any more, or that has ended. It calls late, if
// that is not nil, with a device that the helper still sent, and closes that. More calls
// do nothing.
func (p *Proc) End(late func(device int)) {
	if p.socket < 0 {
		return
	}
	p.hangUp(late)
	p.stop()
}

// Dismiss returns the messages of a helper that has done its work, and lets it end by
// itself: its end takes longer than the rest of a mount. What it still writes is read,
// since it would block or be killed otherwise, and dropped. Only Gone may be called
// afterwards.
func (p *Proc) Dismiss() (messages []string) {
	p.hangUp(nil)
	p.output.drain()
	p.output.discard = true
	messages = p.Messages()
	if p.reaped {
		p.stop()
	} else {
		go p.stop()
	}
	return messages
}

// hangUp closes the socket, which asks the helper to end. The context counts no longer.
func (p *Proc) hangUp(late func(device int)) {
	p.ctx.close()
	for {
		device, err := fdpass.Receive(p.socket)
		if err == nil {
			if late != nil {
				late(device)
			}
			closeAll(device)
		} else if !errors.Is(err, fdpass.ErrReply) {
			break
		}
	}
	closeAll(p.socket)
	p.socket = -1
}

// stop waits for the helper's end. After stopTimeout it kills the helper and its
// children. A helper that not even SIGKILL ends is left to a goroutine that reaps it; it
// holds nothing of this process.
func (p *Proc) stop() {
	if p.waitUntil(time.Now().Add(stopTimeout)) != nil {
		// It is not reaped, so its number is not another process's.
		if unix.Kill(-p.pid, unix.SIGKILL) == nil {
			_ = p.waitUntil(time.Now().Add(killTimeout)) // below it is given up
		}
	}
	if !p.reaped {
		go reap(p.pid)
	}
	p.output.finish()
	closeAll(p.pidfd)
	p.pidfd = -1
	close(p.gone)
}

func reap(pid int) {
	for {
		if _, err := unix.Wait4(pid, nil, 0, nil); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
