package helpertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/testsys"
)

// Syscall is a system call of a program that has stopped right before it.
type Syscall struct {
	// Index counts the calls of this process that were shown, from 0.
	Index int
	Nr    uintptr
	Name  string // of [testsys.SyscallName]
	Args  [6]uint64
	PID   int
	Child bool // PID is a process that the program forked
}

// Verdict is what happens to a [Syscall].
type Verdict struct {
	kind  verdictKind
	value int64
}

type verdictKind int

const (
	carryOut verdictKind = iota
	answer
	kill
)

// The verdicts that need no value.
var (
	Continue = Verdict{}           // the call is carried out
	Kill     = Verdict{kind: kill} // SIGKILL to the process that calls; the call is not carried out
)

// Fail returns an error to the program instead of the call.
func Fail(errno unix.Errno) Verdict { return Verdict{kind: answer, value: -int64(errno)} }

// Pretend returns a result to the program instead of the call.
func Pretend(result uint32) Verdict { return Verdict{kind: answer, value: int64(result)} }

// Text reads the string that an argument points to, a path for example.
func (s Syscall) Text(arg int) (string, error) {
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", s.PID))
	if err != nil {
		return "", err
	}
	defer testsys.MustClose(mem)
	var text []byte
	for at := s.Args[arg]; ; {
		// Up to the end of a page: the next one may not be there.
		buf := make([]byte, 4096-at%4096)
		n, err := mem.ReadAt(buf, int64(at))
		if before, _, found := bytes.Cut(buf[:n], []byte{0}); found {
			return string(append(text, before...)), nil
		}
		if err != nil {
			return "", err
		}
		text, at = append(text, buf...), at+uint64(n)
	}
}

// String returns the call's name and arguments.
func (s Syscall) String() string {
	return fmt.Sprintf("%d %s(%x)", s.Index, s.Name, s.Args)
}

// interceptor answers the notifications of one program.
type interceptor struct {
	decide  func(Syscall) Verdict
	from    string // the first call to show; empty once it was made
	process *os.Process
	counts  map[int]int // by process
	started bool        // the shim has become the program
	running bool        // the Go runtime has started
	done    chan struct{}
	err     error // once done
}

func newInterceptor(c Call) (*interceptor, error) {
	if c.Intercept == nil {
		return nil, nil
	}
	if _, known := testsys.SyscallNumber(c.InterceptFrom); !known && c.InterceptFrom != "" {
		return nil, fmt.Errorf("intercept: no number known for %q", c.InterceptFrom)
	}
	return &interceptor{decide: c.Intercept, from: c.InterceptFrom, counts: map[int]int{}, done: make(chan struct{})}, nil
}

// end waits until no process with the filter is left: the program has ended, but may have
// left a child.
func (i *interceptor) end(ctx context.Context) error {
	if i == nil {
		return nil
	}
	select {
	case <-i.done:
		return i.err
	case <-ctx.Done():
		return fmt.Errorf("intercept: a child of the program is left: %w", ctx.Err())
	}
}

// run receives the listener from the shim, and answers until the program has ended.
// Without an answer all calls would fail with ENOSYS.
func (i *interceptor) run(process *os.Process, control *os.File) {
	i.process = process
	defer close(i.done)
	defer testsys.MustClose(control)
	got, err := receive(control, time.Now().Add(time.Minute))
	if err != nil || got.Dev == nil {
		i.err = err // without a listener the shim has failed, and printed why
		return
	}
	defer testsys.MustClose(got.Dev)
	for i.err == nil {
		n, err := nextNotice(int(got.Dev.Fd()))
		switch {
		case errors.Is(err, errListenerEnd):
			return
		case errors.Is(err, unix.ENOENT): // a signal interrupted the call, or ended the program
			continue
		case err != nil:
			i.err = err
		default:
			i.err = i.answer(int(got.Dev.Fd()), n)
		}
	}
	i.err = errors.Join(i.err, i.kill()) // nothing answers it any more
}

func (i *interceptor) kill() error {
	if err := i.process.Kill(); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// answer shows a call, and carries out the verdict. A call that was interrupted needs no
// answer.
func (i *interceptor) answer(listener int, n notice) error {
	v, pid := Continue, int(n.pid)
	if (pid == i.process.Pid || isProcess(pid)) && i.shows(n) {
		s := Syscall{
			Index: i.counts[pid], Nr: uintptr(n.nr), Name: testsys.NameOfCall(uintptr(n.nr), n.args[0]), Args: n.args,
			PID: pid, Child: pid != i.process.Pid,
		}
		i.counts[pid]++
		v = i.decide(s)
	}
	if v.kind == kill {
		return killProcess(pid)
	}
	if err := respond(listener, n.id, v); !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

// isProcess reports whether pid is a process, and not one of its threads.
func isProcess(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && bytes.Contains(status, fmt.Appendf(nil, "\nTgid:\t%d\n", pid))
}

// killProcess kills a process that waits for an answer, so that its number is not used
// again.
func killProcess(pid int) error {
	if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return os.NewSyscallError("kill", err)
	}
	return nil
}

// shows reports whether the program has started, and has come to the first call to show.
func (i *interceptor) shows(n notice) bool {
	if !i.started {
		i.started = !sameProgram("/proc/"+strconv.Itoa(i.process.Pid)+"/exe", "/proc/self/exe")
	}
	name := testsys.NameOfCall(uintptr(n.nr), n.args[0])
	i.running = i.running || i.started && name == runtimeStart
	if i.running && name == i.from {
		i.from = ""
	}
	return i.started && i.from == ""
}

// runtimeStart is a call that the Go runtime makes at its start on every architecture,
// and that no program under test makes elsewhere.
const runtimeStart = "sched_getaffinity"

func sameProgram(a, b string) bool {
	one, err := os.Stat(a)
	other, otherErr := os.Stat(b)
	return err == nil && otherErr == nil && os.SameFile(one, other)
}

// notice is struct seccomp_notif (linux/seccomp.h).
type notice struct {
	id    uint64
	pid   uint32 // the thread
	flags uint32
	nr    int32
	arch  uint32
	ip    uint64
	args  [6]uint64
}

// response is struct seccomp_notif_resp.
type response struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

// housekeeping are the calls by which the Go runtime manages its threads and memory.
// They come at unpredictable moments, so they are never shown. A clone that makes a
// thread is one more; see listenRules.
var housekeeping = []uintptr{
	unix.SYS_FUTEX, futexTime64, unix.SYS_SCHED_YIELD, unix.SYS_RT_SIGRETURN, unix.SYS_RESTART_SYSCALL, unix.SYS_TGKILL,
	unix.SYS_SIGALTSTACK, unix.SYS_MADVISE, unix.SYS_MUNMAP, mmap, sendListenerCall,
}

// futexTime64 is what 32-bit architectures call; numbers from 403 on are the same everywhere.
const futexTime64 = 422

var mmap, _ = testsys.SyscallNumber("mmap")

// sendListenerCall is the call by which the shim sends the listener, which cannot be
// answered yet. No program under test uses it.
const sendListenerCall = unix.SYS_SENDMMSG

const listenerFlags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV

// NeedIntercept skips the test where the kernel cannot do what Intercept of a [Call]
// needs.
func NeedIntercept(t testing.TB) {
	t.Helper()
	// A kernel that knows the flags fails at the missing filter.
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, listenerFlags, 0)
	if errno == unix.EINVAL || errno == unix.ENOSYS {
		fusetest.Skip(t, "run a kernel with SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (Linux 5.19)")
	}
}

// installListener installs a filter that has calls wait for an answer on the listener,
// which it sends over control. A signal to the program does not interrupt a call once it
// was received.
func installListener(prog []unix.SockFilter, control int) error {
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	listener, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, listenerFlags, uintptr(unsafe.Pointer(&fprog)))
	runtime.KeepAlive(prog)
	if errno != 0 {
		return os.NewSyscallError("seccomp", errno)
	}
	return sendListener(control, int(listener))
}

func sendListener(control, listener int) error {
	rights := unix.UnixRights(listener)
	zero := [1]byte{}
	iov := unix.Iovec{Base: &zero[0]}
	iov.SetLen(1)
	var message struct {
		unix.Msghdr
		sent uint32
	}
	message.Iov, message.Control = &iov, &rights[0]
	message.SetIovlen(1)
	message.SetControllen(len(rights))
	_, _, errno := unix.RawSyscall6(sendListenerCall, uintptr(control), uintptr(unsafe.Pointer(&message)), 1, 0, 0, 0)
	if errno != 0 {
		return os.NewSyscallError("sendmmsg", errno)
	}
	return nil
}

// errListenerEnd means that no program with the filter is left.
var errListenerEnd = errors.New("no program is left")

// nextNotice waits for a call. ENOENT means that it was interrupted before.
func nextNotice(listener int) (notice, error) {
	fds := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return notice{}, os.NewSyscallError("poll", err)
		}
		break
	}
	if fds[0].Revents&unix.POLLIN == 0 {
		return notice{}, errListenerEnd
	}
	for {
		var n notice // the kernel requires zeros
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&n)))
		switch errno {
		case 0:
			return n, nil
		case unix.EINTR:
		default:
			return notice{}, os.NewSyscallError("ioctl", errno)
		}
	}
}

// respond has the call carried out, or gives it its result.
func respond(listener int, id uint64, v Verdict) error {
	r := response{id: id}
	switch {
	case v.kind == carryOut:
		r.flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
	case v.value < 0:
		r.errno = int32(v.value)
	default:
		r.value = v.value
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&r)))
	if errno != 0 {
		return os.NewSyscallError("ioctl", errno)
	}
	return nil
}
