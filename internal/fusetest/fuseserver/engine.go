package fuseserver

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest/testsys"
)

// engine answers the kernel's requests, in the server's process.
type engine struct {
	fd     int // only the loop's thread uses it
	nodes  []node
	onInit func() // called by the loop once INIT was answered
	// holdInit lets a hung engine hold back the answer to INIT, too.
	holdInit bool
	silent   []Opcode

	mu       sync.Mutex
	mode     Mode
	closing  bool
	tid      int
	requests []Request
	err      error

	inited   bool   // only the loop uses it
	held     []held // only the loop uses it: replies that wait for Resume
	finished chan struct{}
}

// newEngine takes over fd, makes it non-blocking (a request may be gone between poll and
// read), and starts the loop.
func newEngine(fd int, tree Tree, opts Options, onInit func()) (*engine, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	e := &engine{
		fd: fd, nodes: tree.nodes(), onInit: onInit, finished: make(chan struct{}),
		mode: opts.mode(), holdInit: opts.HoldInit, silent: opts.Silent,
	}
	started := make(chan struct{})
	go e.loop(started)
	<-started
	return e, nil
}

// set changes the mode, unless the engine has ended.
func (e *engine) set(m Mode) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mode != Dead {
		e.mode = m
		e.wake()
	}
}

// close ends the loop, which closes the device.
func (e *engine) close() {
	e.mu.Lock()
	e.closing = true
	e.wake()
	e.mu.Unlock()
	<-e.finished
}

// snapshot returns the requests so far.
func (e *engine) snapshot() []Request {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.requests)
}

// end waits for the end and returns its error number and text, zero when the mount is
// gone or the engine was closed.
func (e *engine) end() (errno unix.Errno, text string) {
	<-e.finished
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err == nil || errors.Is(e.err, fs.ErrClosed) {
		return 0, ""
	}
	errors.As(e.err, &errno)
	return errno, e.err.Error()
}

// wakeSignal interrupts the loop's wait. The Go runtime handles SIGURG in
// every program, for its own preemption, and ignores one that it did not send.
const wakeSignal = unix.SIGURG

// loop reads and answers requests until the device ends or the engine is closed. It has a
// thread of its own, which ends with it.
//
// The thread blocks the wake signal except inside ppoll, so no wake is lost between the
// check of the mode and the wait. (An eventfd would not work: with
// FUSE_DEV_IOC_SYNC_INIT a poll of the device blocks until the mount, and only a signal
// ends that.)
func (e *engine) loop(started chan<- struct{}) {
	runtime.LockOSThread()
	err := maskWake()
	e.mu.Lock()
	e.tid = unix.Gettid()
	e.mu.Unlock()
	close(started)

	buf := make([]byte, readBytes)
	for err == nil {
		err = e.step(buf)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mode, e.tid = Dead, 0
	e.err = errors.Join(ending(err), os.NewSyscallError("close", unix.Close(e.fd)))
	close(e.finished)
}

// ending converts the error that ended the loop into that of Wait.
func ending(err error) error {
	switch {
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ECONNABORTED):
		return nil
	case errors.Is(err, fs.ErrClosed):
		return fs.ErrClosed
	}
	return err
}

// step waits for one event and handles it.
func (e *engine) step(buf []byte) error {
	e.mu.Lock()
	mode, closing := e.mode, e.closing
	e.mu.Unlock()
	if closing {
		return fs.ErrClosed
	}
	if mode == Healthy {
		if err := e.release(); err != nil {
			return err
		}
	}
	woken, err := waitDevice(e.fd, mode != Frozen)
	if err != nil || woken {
		return err
	}
	n, err := unix.Read(e.fd, buf)
	switch {
	case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOENT):
		return nil // ENOENT: the request was interrupted while it was read
	case err != nil:
		return os.NewSyscallError("read", err)
	}
	return e.serve(buf[:n])
}

// release sends the replies that were held back.
func (e *engine) release() error {
	for len(e.held) > 0 {
		if err := e.send(e.held[0]); err != nil {
			return err
		}
		e.held = e.held[1:]
	}
	return nil
}

// write sends one reply to the kernel. ENOENT means that nothing waits for it any more,
// EINTR that nothing was written.
func (e *engine) write(reply []byte) error {
	for {
		_, err := unix.Write(e.fd, reply)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err == nil, errors.Is(err, unix.ENOENT):
			return nil
		}
		return os.NewSyscallError("write", err)
	}
}

// wake interrupts the loop's wait. The caller holds e.mu, under which the loop clears its
// thread's number before the thread ends.
func (e *engine) wake() {
	if e.tid == 0 {
		return
	}
	if err := unix.Tgkill(unix.Getpid(), e.tid, wakeSignal); err != nil {
		panic("fusetest: tgkill of the server's thread: " + err.Error())
	}
}

// maskWake blocks the wake signal on this thread.
func maskWake() error {
	set := testsys.Sigset(wakeSignal)
	return os.NewSyscallError("rt_sigprocmask", unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil))
}

// waitDevice waits for the device, with all signals unblocked. Without want it only waits
// for the end (POLLERR). It reports whether a signal ended the wait.
func waitDevice(fd int, want bool) (woken bool, err error) {
	p := unix.PollFd{Fd: int32(fd)}
	if want {
		p.Events = unix.POLLIN
	}
	var none unix.Sigset_t
	// Not unix.Ppoll, which passes no size of the mask.
	_, _, errno := unix.Syscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, 0,
		uintptr(unsafe.Pointer(&none)), kernelSigsetBytes, 0)
	switch {
	case errno == unix.EINTR:
		return true, nil
	case errno != 0:
		return false, os.NewSyscallError("ppoll", errno)
	case p.Revents&unix.POLLIN != 0:
		return false, nil
	}
	return takeWake()
}

// takeWake distinguishes an error of the device, which a read will return, from a wake:
// before a synchronous INIT the device's poll also reports a signal as an error, the
// signal stays pending, and a read would block.
func takeWake() (woken bool, err error) {
	var pending unix.Sigset_t
	_, _, errno := unix.RawSyscall(unix.SYS_RT_SIGPENDING, uintptr(unsafe.Pointer(&pending)), kernelSigsetBytes, 0)
	if errno != 0 {
		return false, os.NewSyscallError("rt_sigpending", errno)
	}
	set := testsys.Sigset(wakeSignal)
	if pending.Val[0]&set.Val[0] == 0 {
		return false, nil
	}
	if err := unix.PthreadSigmask(unix.SIG_UNBLOCK, &set, nil); err != nil {
		return false, os.NewSyscallError("rt_sigprocmask", err)
	}
	return true, maskWake()
}

// kernelSigsetBytes is _NSIG/8 on every architecture of Go but MIPS.
const kernelSigsetBytes = 8
