package races

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// captive is a thread of the helper that makes the calls that it is told to make,
// as if somebody had taken it over. It takes root to do that to a thread that is
// shut to its user.
//
// A process of its own traces it: one that waits for the helper's end in another
// thread would take the thread's stops for that.
type captive struct {
	orders  *gob.Encoder
	reports *gob.Decoder
	end     func() error
}

// order is a call to make; the first one names the thread alone.
type order struct {
	TID  int
	Nr   uintptr
	Args []argument
}

// argument is a number, or bytes that lie in the thread's memory.
type argument struct {
	Number int
	Bytes  []byte
}

// report is what a call returned, or why it could not be made.
type report struct {
	Result int64
	Err    string
}

const tracerEnv = "ATTACKS_TRACER"

// capture stops a thread that waits in a system call.
func capture(t *testing.T, tid int) *captive {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env, cmd.Stderr = []string{tracerEnv + "=1"}, os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err, cmd.Start())
	c := &captive{orders: gob.NewEncoder(in), reports: gob.NewDecoder(out)}
	c.end = func() error { return errors.Join(in.Close(), cmd.Wait()) }
	if _, err := c.order(order{TID: tid}); err != nil {
		t.Fatal(err, c.end())
	}
	return c
}

// call has the thread make a call. Strings and bytes are put below its stack.
func (c *captive) call(nr uintptr, args ...any) (result int64, err error) {
	o := order{Nr: nr}
	for _, arg := range args {
		switch v := arg.(type) {
		case int:
			o.Args = append(o.Args, argument{Number: v})
		case string:
			o.Args = append(o.Args, argument{Bytes: append([]byte(v), 0)})
		case []byte:
			o.Args = append(o.Args, argument{Bytes: v})
		default:
			return 0, fmt.Errorf("argument %v", arg)
		}
	}
	return c.order(o)
}

func (c *captive) order(o order) (int64, error) {
	var r report
	if err := errors.Join(c.orders.Encode(o), c.reports.Decode(&r)); err != nil {
		return 0, fmt.Errorf("the tracer: %w", err)
	}
	if r.Err != "" {
		return 0, errors.New(r.Err)
	}
	return r.Result, nil
}

// tracerMain is the tracer's process. The captive dies with it.
func tracerMain() int {
	runtime.LockOSThread()
	orders, reports := gob.NewDecoder(os.Stdin), gob.NewEncoder(os.Stdout)
	var c tracee
	for {
		var o order
		err := orders.Decode(&o)
		if errors.Is(err, io.EOF) {
			return 0
		}
		var r report
		switch {
		case err != nil:
		case o.TID != 0:
			err = c.attach(o.TID)
		default:
			r.Result, err = c.call(o.Nr, o.Args)
		}
		if err != nil {
			r.Err = err.Error()
		}
		if err := reports.Encode(r); err != nil {
			return 1
		}
	}
}

// tracee is the captive as its tracer has it.
type tracee struct {
	tid  int
	regs unix.PtraceRegs // where it waited
}

func (c *tracee) attach(tid int) error {
	c.tid = tid
	if err := ptrace(unix.PTRACE_SEIZE, tid, unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_EXITKILL); err != nil {
		return err
	}
	if err := ptrace(unix.PTRACE_INTERRUPT, tid, 0); err != nil {
		return err
	}
	if _, err := c.stopped(); err != nil {
		return err
	}
	return unix.PtraceGetRegs(tid, &c.regs)
}

func ptrace(request uintptr, tid int, data uintptr) error {
	if _, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, request, uintptr(tid), 0, data, 0, 0); errno != 0 {
		return os.NewSyscallError("ptrace", errno)
	}
	return nil
}

// stopped waits until the thread stops.
func (c *tracee) stopped() (unix.WaitStatus, error) {
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(c.tid, &status, unix.WALL, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return status, os.NewSyscallError("wait4", err)
		case !status.Stopped():
			return status, fmt.Errorf("thread %d has ended: %#x", c.tid, status)
		default:
			return status, nil
		}
	}
}

// edge runs to the next edge of a system call. Signals are kept from the thread.
func (c *tracee) edge() error {
	const syscallStop = unix.SIGTRAP | 0x80
	for {
		if err := ptrace(unix.PTRACE_SYSCALL, c.tid, 0); err != nil {
			return err
		}
		status, err := c.stopped()
		if err != nil || status.StopSignal() == syscallStop {
			return err
		}
	}
}

func (c *tracee) call(nr uintptr, args []argument) (result int64, err error) {
	regs := c.regs
	if err := c.place(&regs, args); err != nil {
		return 0, err
	}
	regs.Rip -= 2 // to the syscall instruction in which it waited
	regs.Rax, regs.Orig_rax = uint64(nr), ^uint64(0)
	if err := unix.PtraceSetRegs(c.tid, &regs); err != nil {
		return 0, err
	}
	if err := errors.Join(c.edge(), c.edge()); err != nil {
		return 0, err
	}
	err = unix.PtraceGetRegs(c.tid, &regs)
	return int64(regs.Rax), err
}

// place puts the arguments where a call has them.
func (c *tracee) place(regs *unix.PtraceRegs, args []argument) error {
	registers := []*uint64{&regs.Rdi, &regs.Rsi, &regs.Rdx, &regs.R10, &regs.R8, &regs.R9}
	at := uintptr(regs.Rsp) - 4096 // what lies there is not used before it returns, and it does not
	for i, arg := range args {
		if arg.Bytes == nil {
			*registers[i] = uint64(arg.Number)
			continue
		}
		if _, err := unix.PtracePokeData(c.tid, at, arg.Bytes); err != nil {
			return os.NewSyscallError("ptrace", err)
		}
		*registers[i] = uint64(at)
		at += uintptr(len(arg.Bytes)+15) &^ 15
	}
	return nil
}
