package fusetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest/testsys"
)

// killGrace is how long a killed program may take to die. One that asked a
// hung daemon never does, and the test must hear of it instead of hanging.
const killGrace = 3 * time.Second

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
	killErr chan error // what the kill at the context's end gave
	elapsed time.Duration
	ctx     context.Context // the life of the process
	watch   *interceptor    // nil without Intercept
}

// Start starts the program. The caller must call Wait. When the context ends
// the program is killed.
func (c Call) Start(ctx context.Context) (*Proc, error) {
	if c.shimmed() && !Restartable() {
		return nil, errors.New("fusetest: a call with failing system calls or limits needs RunTests or MaybeShim first")
	}
	watch, err := newInterceptor(c)
	if err != nil {
		return nil, err
	}
	p := &Proc{ctx: ctx, watch: watch, exited: make(chan struct{}), killErr: make(chan error, 1), shimmed: c.shimmed()}
	files := newFileTable(c)
	defer files.close()
	var control *os.File // what the listener comes by
	p.sock, control, err = files.setup(c)
	p.out, p.errs = files.stdout, files.stderr
	if err == nil {
		p.start = time.Now()
		p.process, err = c.startProcess(files)
	}
	if err != nil {
		if control != nil {
			testsys.MustClose(control)
		}
		return nil, errors.Join(fmt.Errorf("start %s: %w", c.Prog, err), p.out.abandon(), p.errs.abandon(), p.CloseSocket())
	}
	if watch != nil {
		go watch.run(p.process, control)
	}
	p.out.run()
	p.errs.run()
	go p.reap()
	return p, nil
}

// startProcess starts the program, or the shim that becomes it.
func (c Call) startProcess(files *fileTable) (*os.Process, error) {
	attr := &os.ProcAttr{Dir: c.Dir, Files: files.list, Env: c.environ(), Sys: &syscall.SysProcAttr{Setpgid: c.Group}}
	if c.shimmed() {
		spec := c.shimSpec()
		spec.Control = files.control
		value, err := spec.encode()
		if err != nil {
			return nil, err
		}
		attr.Env = []string{shimEnv + "=" + value, "GOMAXPROCS=1"} // it has no use for more, and starts faster
		return os.StartProcess("/proc/self/exe", []string{"fusetest-shim"}, attr)
	}
	if !c.KeepRoot {
		attr.Sys.Credential = &syscall.Credential{
			Uid: c.UID, Gid: c.GID, Groups: c.Groups, NoSetGroups: Have() != Root,
		}
	}
	return os.StartProcess(c.Prog, c.argv(), attr)
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

// SignalGroup sends a signal to the process group of a [Call] with Group, as a
// terminal does.
func (p *Proc) SignalGroup(sig unix.Signal) error {
	return os.NewSyscallError("kill", unix.Kill(-p.Pid(), sig))
}

// Socket returns the test's end of the comm socket, or nil. It stays the
// Proc's; use CloseSocket to close it.
func (p *Proc) Socket() *os.File { return p.sock }

// CloseSocket closes the test's end, as a library that dies.
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

// Receive waits until the deadline for one message on the comm socket, as a
// library that reads before it waits for the exit. The caller owns its Dev.
// The end of the program is EOF in the result.
func (p *Proc) Receive(deadline time.Time) (Received, error) {
	if p.sock == nil {
		return Received{}, os.ErrClosed
	}
	return receive(p.sock, deadline)
}

// Wait waits for the exit and gives what was left in the socket. It closes
// the socket. More calls give the same without Dev.
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

// waitExit waits for the exit, but not for ever after the context has ended.
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
	case <-time.After(killGrace):
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
