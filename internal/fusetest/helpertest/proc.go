package helpertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// killTimeout is how long a killed program may take to end. One that waits for a hung
// daemon never does, and the test must fail instead of hanging.
const killTimeout = 3 * time.Second

// Proc is a started [Call].
type Proc struct {
	sock    *os.File // nil without a socket, or after CloseSocket
	process *os.Process
	out     *capture
	errs    *capture
	start   time.Time
	shimmed bool

	exited  chan struct{}
	once    sync.Once
	state   *os.ProcessState
	waitErr error
	killErr chan error // the error of the kill at the context's end
	elapsed time.Duration
	ctx     context.Context // the life of the process
	watch   *interceptor    // nil without Intercept
}

// reap kills the program when the context ends, and waits for its exit.
func (p *Proc) reap() {
	stop := context.AfterFunc(p.ctx, func() {
		if err := p.process.Kill(); !errors.Is(err, os.ErrProcessDone) {
			p.killErr <- err
		}
	})
	defer stop()
	p.state, p.waitErr = p.process.Wait()
	p.elapsed = time.Since(p.start)
	close(p.exited)
}

// Pid returns the program's process id.
func (p *Proc) Pid() int { return p.process.Pid }

// Exited returns a channel that is closed when the program has ended.
func (p *Proc) Exited() <-chan struct{} { return p.exited }

// Signal sends a signal to the program.
func (p *Proc) Signal(sig unix.Signal) error {
	return p.process.Signal(sig)
}

// SignalGroup sends a signal to the process group of a [Call] with Group, as a terminal
// does.
func (p *Proc) SignalGroup(sig unix.Signal) error {
	return os.NewSyscallError("kill", unix.Kill(-p.Pid(), sig))
}

// Socket returns the test's end of the comm socket, or nil. Use CloseSocket to close it.
func (p *Proc) Socket() *os.File { return p.sock }

// CloseSocket closes the test's end, as when a library's process ends.
func (p *Proc) CloseSocket() error {
	if p.sock == nil {
		return nil
	}
	err := p.sock.Close()
	p.sock = nil
	return err
}

// Send writes to the comm socket.
func (p *Proc) Send(b []byte) error {
	if p.sock == nil {
		return os.ErrClosed
	}
	_, err := p.sock.Write(b)
	return err
}

// Receive waits until the deadline for one message on the comm socket, as a library that
// reads before it waits for the exit. The caller owns its Dev. The end of the program is
// EOF in the result.
func (p *Proc) Receive(deadline time.Time) (Received, error) {
	if p.sock == nil {
		return Received{}, os.ErrClosed
	}
	return receive(p.sock, deadline)
}

// Wait waits for the exit, receives what is left in the socket, and closes the socket.
// Later calls return the same without Dev.
func (p *Proc) Wait() Result {
	r := Result{Exit: -1}
	if err := p.waitExit(); err != nil {
		r.Err = errors.Join(err, p.CloseSocket())
		return r
	}
	r.Elapsed = p.elapsed
	r.Err = p.waitErr
	if ws, ok := p.state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		r.Signal = ws.Signal()
	}
	r.Exit = p.state.ExitCode()
	p.once.Do(func() { r.Err = errors.Join(r.Err, p.finish(&r), p.watch.end(p.ctx)) })
	r.Stdout, r.Stderr = p.out.String(), p.errs.String()
	r.Held = p.out.isHeld() || p.errs.isHeld()
	if p.shimmed && r.Exit == shimFailed {
		r.Err = errors.Join(r.Err, errors.New("shim: "+r.Stderr))
	}
	if err := p.ctx.Err(); err != nil && r.Signal == unix.SIGKILL {
		r.Err = errors.Join(r.Err, err)
	}
	return r
}

// waitExit waits for the exit, for a bounded time after the context has ended.
func (p *Proc) waitExit() error {
	select {
	case <-p.exited:
		return nil
	case <-p.ctx.Done():
	}
	var killErr error
	select {
	case <-p.exited:
		return nil
	case killErr = <-p.killErr:
	}
	select {
	case <-p.exited:
		return nil
	case <-time.After(killTimeout):
		err := fmt.Errorf("the program does not die, it may wait for a hung daemon: %w", p.ctx.Err())
		return errors.Join(err, killErr)
	}
}

// finish empties the pipes and the socket.
func (p *Proc) finish(r *Result) error {
	err := errors.Join(p.out.finish(), p.errs.finish())
	if p.sock != nil {
		got, recvErr := drain(p.sock)
		r.Received = got
		err = errors.Join(err, recvErr, p.CloseSocket())
	}
	return err
}

// capture collects what a program writes to one of its streams. It reads while the
// program runs, so that a full pipe never blocks it. After the exit it takes the rest
// without waiting for other processes that still have the pipe open.
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

// finish stops the reading, takes the rest, and closes the pipe.
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

// abandon closes a pipe to which nothing will be written.
func (c *capture) abandon() error {
	if c == nil {
		return nil
	}
	return c.r.Close()
}

// isHeld reports whether another process still has the stream open.
func (c *capture) isHeld() bool { return c != nil && c.held }

// String returns what was collected.
func (c *capture) String() string {
	if c == nil {
		return ""
	}
	return string(c.data)
}
