package fusermount

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fdpass"
)

// end ends a helper that is not wanted any more, or that has ended. A device that it
// still sent is given to late, and closed. More calls do nothing.
func (p *process) end(late func(device int)) {
	if p.socket < 0 {
		return
	}
	p.hangUp(late)
	p.waitOver()
}

// dismiss lets a helper that has done its work end by itself, while the caller goes on:
// the end of a process takes longer than the rest of what Mount does. What it has said
// is taken. What it still says is read, since it would block or be killed otherwise, and
// dropped. over is closed when it has ended, see waitOver.
func (p *process) dismiss() {
	p.hangUp(nil)
	p.said.take()
	p.said.copyTo = nil
	if p.reaped {
		p.waitOver()
		return
	}
	go p.waitOver()
}

// hangUp ends the conversation, which asks the helper to end. The context has had its
// say.
func (p *process) hangUp(late func(device int)) {
	p.alarm.close()
	p.drain(late)
	closeAll(p.socket)
	p.socket = -1
}

// waitOver waits for the helper's end. One that takes too long is killed, with its
// children; one that not even that ends is left to a goroutine that reaps it: it holds
// nothing of ours.
func (p *process) waitOver() {
	if p.waitUntil(time.Now().Add(grace)) != nil {
		// It is not reaped, so no other can have its number.
		if unix.Kill(-p.pid, unix.SIGKILL) == nil {
			_ = p.waitUntil(time.Now().Add(mercy))
		}
	}
	if !p.reaped {
		go reap(p.pid)
	}
	p.said.finish()
	closeAll(p.pidfd)
	p.pidfd = -1
	close(p.over)
}

func reap(pid int) {
	for {
		if _, err := unix.Wait4(pid, nil, 0, nil); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// drain takes what lies in the socket.
func (p *process) drain(late func(device int)) {
	for {
		device, err := fdpass.Receive(p.socket)
		switch {
		case err == nil:
			if late != nil {
				late(device)
			}
			closeAll(device)
		case !errors.Is(err, fdpass.ErrReply):
			return
		}
	}
}

// exitStatus is what Error has of a helper's end.
func (p *process) exitStatus() int {
	if !p.reaped || p.lost {
		return -1
	}
	return p.status.ExitStatus()
}

// failure says why a helper that has ended did not do what it was to. It is
// valid after end.
func (p *process) failure() error {
	if err := decisive(p.said.messages()); err != nil && p.exitStatus() != 0 {
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
		return because("it sent no device and said that all is well", ErrBadReply)
	}
	return fmt.Errorf("exit status %d, without a word", p.status.ExitStatus())
}
