//go:build linux

// Package helperproc is the client's run of a set-uid helper: it finds the program,
// starts it with a socket for the fuse device, reads its messages, and ends it.
package helperproc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/ask"
	"github.com/go-fusermount/fusermount/internal/fuseerr"
)

// Proc is a running helper. Its methods poll the socket, the messages, the helper's end
// and the context in the goroutine that calls them: a mount by a helper takes a
// millisecond, and on a busy machine a handover between threads takes far longer than
// that.
//
// The helper is started on the thread of that goroutine, so a caller whose thread has
// ids of its own gets a helper with these ids. It has /dev/null, the pipe of its
// messages and its end of the socket, and no other descriptor.
type Proc struct {
	path     string
	conn     *ask.Conn // to the mount service, which is asked in place of a helper; else nil
	pid      int
	pidfd    int // readable when the helper has ended; -1 where there is none
	socket   int // this end; -1 once closed
	output   *output
	readFrom time.Time // when to begin to read the messages of a running helper
	ctx      *ctxfd
	gone     chan struct{} // closed when the helper has ended, or was given up

	reaped bool
	lost   bool // another part of this process has taken the status
	status syscall.WaitStatus
}

const (
	// stopTimeout is for a helper whose socket was closed: it takes back what it has
	// mounted, and does that better if it is not killed.
	stopTimeout = time.Second
	// killTimeout is for a killed helper, which may be in a system call that no signal
	// ends.
	killTimeout = 2 * time.Second
	// readDelay keeps messages in the pipe, which holds more than any helper writes:
	// most helpers have ended by then. Their streams close a moment before they end,
	// and to be woken by that takes the processor from them.
	readDelay = 20 * time.Millisecond
	// pollInterval is for a process without a pidfd (before Linux 5.2, or forbidden by
	// a filter).
	pollInterval = 10 * time.Millisecond
)

// errTimeout says that something did not happen in the given time.
var errTimeout = errors.New("timed out")

// Start starts a helper. The end of the context ends the waits of the methods, until
// [Proc.Keep], [Proc.Dismiss] or [Proc.End]. One of the last two must be called.
func Start(ctx context.Context, path string, args ...string) (p *Proc, err error) {
	var opened []int
	defer func() {
		if err != nil {
			closeAll(opened...)
			err = fuseerr.Wrap("start "+path+": "+err.Error(), err)
		}
	}()
	sockets, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	opened = append(opened, sockets[:]...)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	opened = append(opened, pipe[:]...)
	null, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: os.DevNull, Err: err}
	}
	opened = append(opened, null)
	p = &Proc{
		path: path, pidfd: -1, socket: sockets[0], output: newOutput(pipe[0], path),
		readFrom: time.Now().Add(readDelay), gone: make(chan struct{}),
	}
	if p.ctx, err = newCtxfd(ctx); err != nil {
		return nil, err
	}
	p.pid, _, err = syscall.StartProcess(path, append([]string{path}, args...), &syscall.ProcAttr{
		Env:   environment(),
		Files: []uintptr{uintptr(null), uintptr(pipe[1]), uintptr(pipe[1]), uintptr(sockets[1])},
		// A process group of its own: ^C is for this process, which ends the helper in
		// order; and a wrapper can be killed with its children. (With a session of its
		// own Linux schedules it apart from this process, which took half as long again
		// on a busy machine.)
		Sys: &syscall.SysProcAttr{Setpgid: true, PidFD: &p.pidfd},
	})
	if err != nil {
		p.ctx.close()
		if errors.Is(err, unix.ENOENT) { // also of a script's interpreter; it says nothing of the mountpoint
			err = fuseerr.Wrap(err.Error(), exec.ErrNotFound)
		}
		return nil, err
	}
	closeAll(null, pipe[1], sockets[1])
	return p, nil
}

// environment is this process's, since wrappers need it, with the number of the helper's
// socket. This module's helper does one thing after the other: where it takes settings
// of the Go runtime from its caller, without rights of its own, it starts faster on one
// processor, and needs less memory when it stays.
func environment() []string {
	env := make([]string, 0, 64)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "_FUSE_COMMFD") && !strings.HasPrefix(v, "GOMAXPROCS=") { // _FUSE_COMMFD2, too
			env = append(env, v)
		}
	}
	return append(env, "GOMAXPROCS=1", "_FUSE_COMMFD=3")
}

// closeAll closes descriptors whose close cannot fail; negative ones are ignored.
func closeAll(fds ...int) {
	for _, fd := range fds {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// ReceiveDevice waits for the device, or whatever descriptor the helper sends. The error
// is io.EOF when there will be none.
func (p *Proc) ReceiveDevice() (device int, err error) {
	device = -1
	err = p.receive(func() (err error) {
		device, err = receive(p.socket)
		return err
	})
	return device, err
}

// receive calls read, which does not block, whenever the socket has something, until it
// returns anything but EAGAIN. The error is io.EOF when the helper has ended, even if
// another process still has its socket, or the context's.
func (p *Proc) receive(read func() error) (err error) {
	waited := p.poll(p.socket, time.Time{}, func(ended bool) bool {
		err = read()
		if ended && errors.Is(err, unix.EAGAIN) {
			err = io.EOF
		}
		return !errors.Is(err, unix.EAGAIN)
	})
	if waited != nil {
		return waited
	}
	return err
}

// Wait waits for the helper's end. The error is the context's.
func (p *Proc) Wait() error { return p.waitUntil(time.Time{}) }

// waitUntil waits for the end, until a time if that is not zero.
func (p *Proc) waitUntil(end time.Time) error {
	return p.poll(-1, end, func(ended bool) bool { return ended })
}

// poll waits until done returns true. It calls done first, and again whenever the socket,
// if it is not -1, has something or the helper has ended. Meanwhile it reads the
// messages. It ends with the context's error, and with errTimeout.
func (p *Proc) poll(socket int, end time.Time, done func(ended bool) bool) error {
	for !done(p.hasEnded()) {
		if err := p.ctx.err(); err != nil {
			return err
		}
		wait := time.Duration(-1) // for ever
		shorten := func(d time.Duration) {
			if wait < 0 || d < wait {
				wait = d
			}
		}
		if !end.IsZero() {
			if wait = time.Until(end); wait <= 0 {
				return errTimeout
			}
		}
		if p.pidfd < 0 {
			shorten(pollInterval)
		}
		messages := p.output.fd
		if delay := time.Until(p.readFrom); delay > 0 && messages >= 0 {
			messages = -1
			shorten(delay)
		}
		fds := []unix.PollFd{
			{Fd: int32(messages), Events: unix.POLLIN},
			{Fd: int32(p.pidfd), Events: unix.POLLIN},
			{Fd: int32(socket), Events: unix.POLLIN},
			{Fd: int32(p.ctx.fd), Events: unix.POLLIN},
		}
		if _, err := unix.Poll(fds, milliseconds(wait)); err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("poll", err)
		}
		if fds[0].Revents != 0 {
			p.output.read()
		}
	}
	return nil
}

// milliseconds rounds up; negative means for ever.
func milliseconds(d time.Duration) int {
	if d < 0 {
		return -1
	}
	return int((d + time.Millisecond - 1) / time.Millisecond)
}

// hasEnded reports whether the helper has ended, and reaps it.
func (p *Proc) hasEnded() bool {
	if p.conn != nil {
		return hasAnswered(p)
	}
	for !p.reaped {
		var status unix.WaitStatus
		pid, err := unix.Wait4(p.pid, &status, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err == nil && pid == 0:
			return false
		}
		// ECHILD: another part of this process reaps all children, or SIGCHLD is
		// ignored. Then the device, the mount table and the messages tell the result.
		p.status, p.lost, p.reaped = syscall.WaitStatus(status), err != nil, true
	}
	return true
}

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
	unprove(p)
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
	unprove(p)
	p.ctx.close()
	for {
		device, err := receive(p.socket)
		if err == nil {
			if late != nil {
				late(device)
			}
			closeAll(device)
		} else if !errors.Is(err, ErrReply) {
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
	if p.conn != nil {
		stopService(p)
		return
	}
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
