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

// process is a helper at work: its socket, what it says, and its end.
//
// It is started by the goroutine that calls this package and not by another, so
// that a caller on a thread of its own ids gets a helper with these. It gets
// /dev/null, the pipe of its messages and its end of the socket, and nothing
// else: whatever this process opens meanwhile is close-on-exec from the start.
type process struct {
	path   string
	proc   *os.Process
	socket *os.File // our end, known to the runtime's poller
	said   *said

	exited chan struct{} // closed when it was reaped; valid then:
	state  *os.ProcessState
	err    error
}

const (
	// grace is for a helper whose socket was closed: it takes back what it
	// mounted, and that goes better if it is not killed.
	grace = time.Second
	// mercy is for a killed one. It may be in a system call that no signal ends.
	mercy = 2 * time.Second
)

func startProcess(path string, args []string, stderr io.Writer) (*process, error) {
	p := &process{path: path, exited: make(chan struct{})}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "comm socket")
	defer closeQuietly(theirs)
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, errors.Join(os.NewSyscallError("fcntl", err), unix.Close(fds[0]))
	}
	p.socket = os.NewFile(uintptr(fds[0]), "comm socket")
	var output *os.File
	if p.said, output, err = newSaid(stderr); err != nil {
		return nil, errors.Join(err, p.socket.Close())
	}
	defer closeQuietly(output)
	if err := p.start(args, output, theirs); err != nil {
		return nil, errors.Join(err, p.socket.Close(), p.said.abandon())
	}
	p.said.start(path)
	go p.reap()
	return p, nil
}

func (p *process) start(args []string, output, theirs *os.File) error {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer closeQuietly(null)
	p.proc, err = os.StartProcess(p.path, append([]string{p.path}, args...), &os.ProcAttr{
		Env:   helperEnvironment(),
		Files: []*os.File{null, output, output, theirs},
		// A session of its own: ^C is for this process, which ends the helper
		// in order; and a wrapper can be killed with its children.
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	return err
}

// closeQuietly closes what was only read or handed on.
func closeQuietly(f *os.File) { _ = f.Close() }

func (p *process) reap() {
	p.state, p.err = p.proc.Wait()
	close(p.exited)
	p.wake() // a child of the helper's may hold the socket; nobody waits for that one
}

// wake ends a wait on the socket. It fails only when the socket is closed.
func (p *process) wake() { _ = p.socket.SetReadDeadline(time.Unix(1, 0)) }

// receive waits for the device. The error is io.EOF when there will be none.
func (p *process) receive(ctx context.Context) (device int, err error) {
	device = -1
	err = p.read(ctx, func(socket int) (err error) {
		device, err = fdpass.Receive(socket)
		return err
	})
	return device, err
}

// receiveFull waits for all of buf.
func (p *process) receiveFull(ctx context.Context, buf []byte) error {
	return p.read(ctx, func(socket int) error {
		for len(buf) > 0 {
			n, err := fdpass.ReceiveSome(socket, buf)
			if err != nil {
				return err
			}
			buf = buf[n:]
		}
		return nil
	})
}

// read calls f, which does not wait, whenever something arrives, until it gives
// anything but EAGAIN. It ends with io.EOF after the helper's end, and with
// the context's error.
func (p *process) read(ctx context.Context, f func(socket int) error) error {
	stop := context.AfterFunc(ctx, p.wake)
	defer stop()
	raw, err := p.socket.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	err = raw.Read(func(fd uintptr) bool {
		result = f(int(fd))
		return !errors.Is(result, unix.EAGAIN)
	})
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.Join(err, result)
	}
	// What came before the wait was broken off counts.
	if err := raw.Control(func(fd uintptr) { result = f(int(fd)) }); err != nil {
		return err
	}
	if !errors.Is(result, unix.EAGAIN) {
		return result
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return io.EOF
}

// send tells the helper that the device is served.
func (p *process) send() error {
	raw, err := p.socket.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	return errors.Join(raw.Control(func(fd uintptr) { result = fdpass.SendByte(int(fd)) }), result)
}

// wait waits for the end.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-p.exited:
		return p.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// within says whether the helper ends within a time.
func (p *process) within(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.exited:
		return true
	case <-timer.C:
		return false
	}
}

// end ends a helper that nobody wants any more, or that has ended. It is asked
// to by the end of its socket, then killed, with its children. One that not even
// that ends is left to the goroutine that reaps it: it holds nothing of ours.
//
// A device that it still sent is given to late, and closed.
func (p *process) end(late func(device int)) {
	p.drain(late)
	closeQuietly(p.socket)
	if !p.within(grace) && unix.Kill(-p.proc.Pid, unix.SIGKILL) == nil {
		p.within(mercy)
	}
	p.said.finish()
}

// drain takes what lies in the socket.
func (p *process) drain(late func(device int)) {
	p.wake()
	for {
		device, err := p.receive(context.Background())
		switch {
		case err == nil:
			if late != nil {
				late(device)
			}
			_ = unix.Close(device) // nothing was written to it
		case !errors.Is(err, fdpass.ErrReply):
			return
		}
	}
}

// exitStatus is what Error has of a helper's end.
func (p *process) exitStatus() int {
	select {
	case <-p.exited:
		if p.state != nil {
			return p.state.ExitCode()
		}
	default:
	}
	return -1
}

// failure says why a helper that has ended did not do what it was to. It is
// valid after end.
func (p *process) failure() error {
	if err := decisive(p.said.messages()); err != nil && p.exitStatus() != 0 {
		return err
	}
	if p.state == nil {
		return errors.Join(errors.New("it did not end"), p.err)
	}
	if p.state.Success() {
		return because("it sent no device and said that all is well", ErrBadReply)
	}
	return errors.New(p.state.String() + ", without a word")
}
