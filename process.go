package fusermount

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fdpass"
)

// process is a helper at work: its socket, what it says, and its end. All that is
// done with it happens in the goroutine that calls, which waits for all of that
// at once: a mount takes a helper a millisecond, and what is handed from one
// thread to another on a busy machine waits far longer than that. After dismiss it
// belongs to another goroutine, and over is all that may be looked at.
//
// It is started on the thread of that goroutine, so that a caller with ids of its
// own gets a helper with these. It gets /dev/null, the pipe of its messages and
// its end of the socket, and nothing else: whatever this process opens meanwhile
// is close-on-exec from the start.
type process struct {
	path   string
	pid    int
	pidfd  int // readable when the process has ended; -1 where there is none
	socket int // our end; -1 once closed
	said   *said
	listen time.Time     // from when on its words are taken while it runs
	alarm  *alarm        // the end of the caller's context
	over   chan struct{} // closed when it has ended, or was given up

	reaped bool
	lost   bool // reaped by somebody else in this process: there is no status
	status syscall.WaitStatus
}

const (
	// grace is for a helper whose socket was closed: it takes back what it
	// mounted, and that goes better if it is not killed.
	grace = time.Second
	// mercy is for a killed one. It may be in a system call that no signal ends.
	mercy = 2 * time.Second
	// quiet is how long a helper's words stay in the pipe, which holds more than
	// any says: most have ended by then, and the end of their streams, a moment
	// before their own, would only take the processor from them.
	quiet = 20 * time.Millisecond
	// blink is between two looks at a process without a pidfd (before Linux 5.2,
	// or forbidden by a filter).
	blink = 10 * time.Millisecond
)

// errLate says that something did not happen in the time given.
var errLate = errors.New("timed out")

func startProcess(ctx context.Context, path string, args []string, stderr io.Writer) (p *process, err error) {
	var opened []int
	defer func() {
		if err != nil {
			closeAll(opened...)
			err = because("start "+path+": "+err.Error(), err)
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
	p = &process{
		path: path, pidfd: -1, socket: sockets[0], said: newSaid(pipe[0], path, stderr),
		listen: time.Now().Add(quiet), over: make(chan struct{}),
	}
	if p.alarm, err = newAlarm(ctx); err != nil {
		return nil, err
	}
	if err := p.start(args, null, pipe[1], sockets[1]); err != nil {
		p.alarm.close()
		return nil, err
	}
	closeAll(null, pipe[1], sockets[1])
	return p, nil
}

// closeAll closes descriptors to which nothing was written that could fail now.
func closeAll(fds ...int) {
	for _, fd := range fds {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

func (p *process) start(args []string, null, output, socket int) (err error) {
	p.pid, _, err = syscall.StartProcess(p.path, append([]string{p.path}, args...), &syscall.ProcAttr{
		Env:   helperEnvironment(),
		Files: []uintptr{uintptr(null), uintptr(output), uintptr(output), uintptr(socket)},
		// A process group of its own: ^C is for this process, which ends the
		// helper in order; and a wrapper can be killed with its children. (A
		// session of its own makes Linux schedule it apart from us, which took
		// half as long again on a busy machine.)
		Sys: &syscall.SysProcAttr{Setpgid: true, PidFD: &p.pidfd},
	})
	return err
}

// receive waits for the device. The error is io.EOF when there will be none.
func (p *process) receive() (device int, err error) {
	device = -1
	err = p.read(func() (err error) {
		device, err = fdpass.Receive(p.socket)
		return err
	})
	return device, err
}

// receiveFull waits for all of buf.
func (p *process) receiveFull(buf []byte) error {
	return p.read(func() error {
		for len(buf) > 0 {
			n, err := fdpass.ReceiveSome(p.socket, buf)
			if err != nil {
				return err
			}
			buf = buf[n:]
		}
		return nil
	})
}

// read calls f, which does not wait, whenever something arrives, until it gives
// anything but EAGAIN. It ends with io.EOF when the helper has ended, whoever
// else may hold its socket, and with the context's error.
func (p *process) read(f func() error) (err error) {
	waited := p.poll(p.socket, time.Time{}, func(ended bool) bool {
		err = f()
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

// send tells the helper that the device is served.
func (p *process) send() error { return fdpass.SendByte(p.socket) }

// wait waits for the end.
func (p *process) wait() error { return p.waitUntil(time.Time{}) }

// waitUntil waits for the end, until a time if one is given.
func (p *process) waitUntil(end time.Time) error {
	return p.poll(-1, end, func(ended bool) bool { return ended })
}

// poll waits until done says so, which is asked first, and whenever the socket,
// if it is of interest, has something or the helper has ended. What the helper
// says is taken meanwhile. It ends with the context's error, and with errLate.
func (p *process) poll(socket int, end time.Time, done func(ended bool) bool) error {
	for !done(p.hasEnded()) {
		if err := p.alarm.err(); err != nil {
			return err
		}
		wait := time.Duration(-1)
		if !end.IsZero() {
			if wait = time.Until(end); wait <= 0 {
				return errLate
			}
		}
		if p.pidfd < 0 {
			wait = sooner(wait, blink)
		}
		words := p.said.fd
		if silence := time.Until(p.listen); silence > 0 && words >= 0 {
			words, wait = -1, sooner(wait, silence)
		}
		fds := []unix.PollFd{
			{Fd: int32(words), Events: unix.POLLIN},
			{Fd: int32(p.pidfd), Events: unix.POLLIN},
			{Fd: int32(socket), Events: unix.POLLIN},
			{Fd: int32(p.alarm.fd), Events: unix.POLLIN},
		}
		if _, err := unix.Poll(fds, milliseconds(wait)); err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("poll", err)
		}
		if fds[0].Revents != 0 {
			p.said.read()
		}
	}
	return nil
}

// sooner gives the shorter of two times to wait, of which the first may be
// negative, for ever.
func sooner(d, other time.Duration) time.Duration {
	if d < 0 {
		return other
	}
	return min(d, other)
}

// milliseconds rounds up; negative means for ever.
func milliseconds(d time.Duration) int {
	if d < 0 {
		return -1
	}
	return int((d + time.Millisecond - 1) / time.Millisecond)
}

// hasEnded looks whether the helper has ended, and reaps it.
func (p *process) hasEnded() bool {
	for !p.reaped {
		var status unix.WaitStatus
		pid, err := unix.Wait4(p.pid, &status, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err == nil && pid == 0:
			return false
		}
		// ECHILD: somebody in this process reaps all there is, or nobody is to
		// (SIGCHLD is ignored). The device and the mount table say how it went,
		// then, and the helper's words.
		p.status, p.lost, p.reaped = syscall.WaitStatus(status), err != nil, true
	}
	return true
}
