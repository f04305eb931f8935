package races

import (
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// TestHijacked has a thread of the helper make calls that its code does not make, while
// it waits for its caller, as if an attacker controlled it. Each is refused, by the
// filter or because the thread has only the caller's rights.
func TestHijacked(t *testing.T) {
	program := install(t)
	for _, s := range hijackStates {
		for _, which := range []string{"main thread", "other thread"} {
			t.Run(s.name+", "+which, func(t *testing.T) {
				t.Parallel()
				w := worldWithUtab(t, program)
				p := s.start(t, w)
				threads, err := threadsOf(p.Pid())
				must(t, err)
				thread := threads[0]
				if which == "other thread" {
					thread = threads[len(threads)-1]
				}
				h := newHijack(t, w, thread)
				for _, c := range h.calls() {
					h.try(t, c)
				}
				h.wantUnchanged(t)
				must(t, h.captive.end())
				if r := p.Wait(); r.Signal != unix.SIGKILL { // it dies with its tracer
					t.Errorf("exit %d, signal %d, %v", r.Exit, r.Signal, r.Err)
				}
			})
		}
	}
}

// hijackStates are the states in which the helper waits for its caller.
var hijackStates = []struct {
	name  string
	start func(t *testing.T, w *world) *helpertest.Proc
}{
	{"sync-init", func(t *testing.T, w *world) *helpertest.Proc {
		return syncInit(t, w, helpertest.Call{Prog: w.program})
	}},
	{"auto_unmount", func(t *testing.T, w *world) *helpertest.Proc {
		return watching(t, w, "-o", "auto_unmount")
	}},
	{"auto_unmount with utab", func(t *testing.T, w *world) *helpertest.Proc {
		return watching(t, w, "-o", "auto_unmount,x-a")
	}},
	{"--auto-unmount", func(t *testing.T, w *world) *helpertest.Proc {
		must(t, w.fuse(w.m, alice))
		return watching(t, w, "--auto-unmount")
	}},
}

// watching starts a watcher, and waits until it waits.
func watching(t *testing.T, w *world, args ...string) *helpertest.Proc {
	t.Helper()
	p := startWithin(t, helpertest.Call{Prog: w.program, UID: alice, GID: alice, Dir: "/", Args: append(args, w.m)})
	if args[0] == "-o" {
		got, err := p.Receive(time.Now().Add(fusetest.Patience))
		must(t, err)
		w.held = append(w.held, got.Dev)
	}
	waitFor(t, "the watcher waits", func() bool {
		session, err := unix.Getsid(p.Pid())
		return err == nil && session == p.Pid() && waitsIn(p.Pid(), unix.SYS_PPOLL)
	})
	return p
}

// hijack is a controlled thread, and what it must not reach.
type hijack struct {
	captive *captive
	thread  credentials
	world   *world
	secret  string // a file of root's
	victims map[string]int
}

func newHijack(t *testing.T, w *world, thread credentials) *hijack {
	t.Helper()
	h := &hijack{world: w, thread: thread, secret: filepath.Join(w.base, "secret"), victims: map[string]int{}}
	must(t, os.WriteFile(h.secret, []byte("secret"), 0o600))
	for name, uid := range map[string]uint32{"root": 0, "bob": bob} {
		h.victims[name] = sleeper(t, uid)
	}
	must(t, w.tmpfs(w.roots, 0), w.guard(w.roots))
	h.captive = capture(t, thread.tid)
	return h
}

// sleeper is a process of another user.
func sleeper(t *testing.T, uid uint32) (pid int) {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}, Pdeathsig: unix.SIGKILL}
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may be dead, which the test has reported
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

// hijackCall is a call that must fail.
type hijackCall struct {
	name string
	nr   uintptr
	args []any
	mute bool // it never reports a failure: the state of the thread afterwards counts
}

// atCwd resolves paths as usual.
const atCwd = unix.AT_FDCWD

func (h *hijack) calls() []hijackCall {
	all := capData(1<<41-1, 1<<41-1)
	root, bobs := h.victims["root"], h.victims["bob"]
	calls := []hijackCall{
		{name: "open root's file to read", nr: unix.SYS_OPENAT, args: []any{atCwd, h.secret, unix.O_RDONLY}},
		{name: "open root's file to read and write", nr: unix.SYS_OPENAT, args: []any{atCwd, h.secret, unix.O_RDWR}},
		{name: "open root's file to truncate", nr: unix.SYS_OPENAT, args: []any{atCwd, h.secret, unix.O_WRONLY | unix.O_TRUNC}},
		{name: "create a file of root's", nr: unix.SYS_OPENAT, args: []any{atCwd, h.secret + "2", unix.O_RDWR | unix.O_CREAT, 0o644}},
		{name: "open memory of root's process", nr: unix.SYS_OPENAT, args: []any{atCwd, fmt.Sprintf("/proc/%d/mem", root), unix.O_RDWR}},
		{name: "remove root's file", nr: unix.SYS_UNLINKAT, args: []any{atCwd, h.secret, 0}},
		{name: "rename root's file", nr: unix.SYS_RENAMEAT, args: []any{atCwd, h.secret, atCwd, h.secret + "3"}},
		{name: "chmod", nr: unix.SYS_FCHMODAT, args: []any{atCwd, h.secret, 0o666}},
		{name: "kill root's process", nr: unix.SYS_KILL, args: []any{root, int(unix.SIGKILL)}},
		{name: "kill bob's process", nr: unix.SYS_KILL, args: []any{bobs, int(unix.SIGKILL)}},
		{name: "look for root's process", nr: unix.SYS_KILL, args: []any{root, 0}},
		{name: "tgkill bob's process", nr: unix.SYS_TGKILL, args: []any{bobs, bobs, int(unix.SIGKILL)}},
		{name: "execve", nr: unix.SYS_EXECVE, args: []any{"/bin/true", 0, 0}},
		{name: "ptrace bob's process", nr: unix.SYS_PTRACE, args: []any{unix.PTRACE_SEIZE, bobs, 0, 0}},
		{name: "process_vm_readv", nr: unix.SYS_PROCESS_VM_READV, args: []any{root, 0, 0, 0, 0, 0}},
		{name: "setuid", nr: unix.SYS_SETUID, args: []any{0}},
		{name: "setresuid", nr: unix.SYS_SETRESUID, args: []any{0, 0, 0}},
		{name: "setresgid", nr: unix.SYS_SETRESGID, args: []any{0, 0, 0}},
		{name: "setfsgid", nr: unix.SYS_SETFSGID, args: []any{0}, mute: true},
		{name: "setfsuid", nr: unix.SYS_SETFSUID, args: []any{0}, mute: true},
		{name: "setgroups", nr: unix.SYS_SETGROUPS, args: []any{0, 0}},
		{name: "capset", nr: unix.SYS_CAPSET, args: []any{capHeader, all}},
		{name: "umount root's mount", nr: unix.SYS_UMOUNT2, args: []any{h.world.roots, unix.MNT_DETACH}},
		{name: "mount", nr: unix.SYS_MOUNT, args: []any{"none", h.world.m, "tmpfs", 0, 0}},
		{name: "a user namespace", nr: unix.SYS_UNSHARE, args: []any{unix.CLONE_NEWUSER | unix.CLONE_NEWNS}},
		{name: "a process in a user namespace", nr: unix.SYS_CLONE, args: []any{unix.CLONE_NEWUSER | int(unix.SIGCHLD), 0, 0, 0, 0}},
		{name: "setns", nr: unix.SYS_SETNS, args: []any{0, 0}},
		{name: "executable memory", nr: unix.SYS_MMAP, args: []any{0, 4096, unix.PROT_READ | unix.PROT_EXEC, unix.MAP_PRIVATE | unix.MAP_ANONYMOUS, -1, 0}},
		{name: "a socket of the internet", nr: unix.SYS_SOCKET, args: []any{unix.AF_INET, unix.SOCK_STREAM, 0}},
		{name: "io_uring", nr: unix.SYS_IO_URING_SETUP, args: []any{1, make([]byte, 120)}},
		{name: "bpf", nr: unix.SYS_BPF, args: []any{0, make([]byte, 64), 64}},
		{name: "keyctl", nr: unix.SYS_KEYCTL, args: []any{0, -4, 0}},
		{name: "memfd", nr: unix.SYS_MEMFD_CREATE, args: []any{"x", 0}},
		{name: "a call of another architecture's numbers", nr: 0x40000000 | unix.SYS_GETPID},
	}
	if !h.thread.main && h.thread.caps["CapPrm"] == 0 {
		calls = append(calls, hijackCall{
			name: "capset CAP_SYS_ADMIN", nr: unix.SYS_CAPSET, args: []any{capHeader, capData(1<<unix.CAP_SYS_ADMIN, 1<<unix.CAP_SYS_ADMIN)},
		})
	}
	return calls
}

// capHeader and capData are what capset takes.
var capHeader = binary.LittleEndian.AppendUint64(nil, unix.LINUX_CAPABILITY_VERSION_3)

func capData(effective, permitted uint64) (data []byte) {
	for _, shift := range []int{0, 32} {
		for _, set := range []uint64{effective, permitted, 0} {
			data = binary.LittleEndian.AppendUint32(data, uint32(set>>shift))
		}
	}
	return data
}

func (h *hijack) try(t *testing.T, c hijackCall) {
	t.Helper()
	result, err := h.captive.call(c.nr, c.args...)
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	outcome := fmt.Sprint(result)
	if result < 0 {
		outcome = unix.ErrnoName(unix.Errno(-result))
	} else if !c.mute {
		t.Errorf("%s: %d, and was not refused", c.name, result)
	}
	t.Logf("%-45s %s", c.name, outcome)
}

// wantUnchanged wants the thread unchanged, and the other processes alive.
func (h *hijack) wantUnchanged(t *testing.T) {
	t.Helper()
	now, err := credentialsOf(fmt.Sprintf("/proc/%d/status", h.thread.tid))
	must(t, err)
	if bad := now.excess(h.thread.caps["CapEff"], h.thread.caps["CapPrm"]); len(bad) > 0 {
		t.Errorf("afterwards: %q", bad)
	}
	for name, pid := range h.victims {
		if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || slices.Contains(strings.Fields(string(text)), "Z") {
			t.Errorf("the process of %s is dead: %v", name, err)
		}
	}
	if text, err := os.ReadFile(h.secret); err != nil || string(text) != "secret" {
		t.Errorf("root's file: %q, %v", text, err)
	}
}

// captive is a thread of the helper that makes the calls of the test, as if an attacker
// controlled it. That takes root, since the thread is not dumpable.
//
// A separate process traces it: a process that also waits for the helper's end would
// mistake the thread's stops for that.
type captive struct {
	orders  *gob.Encoder
	reports *gob.Decoder
	end     func() error
}

// order is a call to make; the first one only names the thread.
type order struct {
	TID  int
	Nr   uintptr
	Args []argument
}

// argument is a number, or bytes in the thread's memory.
type argument struct {
	Number int
	Bytes  []byte
}

// report is the result of a call, or why it could not be made.
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

// tracee is the captive in its tracer.
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

// place puts the arguments into registers and memory.
func (c *tracee) place(regs *unix.PtraceRegs, args []argument) error {
	registers := []*uint64{&regs.Rdi, &regs.Rsi, &regs.Rdx, &regs.R10, &regs.R8, &regs.R9}
	at := uintptr(regs.Rsp) - 4096 // this is unused until the call returns, which it does not
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
