package fusetest

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
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

	inited   bool   // of the loop
	held     []held // of the loop: replies that wait for Resume
	finished chan struct{}
}

// newEngine takes over fd, makes it non-blocking (the request that a poll saw
// may be gone again when it is read), and starts the loop.
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

// end waits for the end and returns the error number and text that it had:
// zero when the mount has gone or the engine was closed.
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
