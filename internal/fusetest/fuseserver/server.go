// Package fuseserver is a small FUSE server for tests. It serves a device descriptor in
// a process of its own, is healthy, hung or dead as the test wants, and remembers the
// requests that it got.
//
// The wire format follows the kernel's include/uapi/linux/fuse.h.
package fuseserver

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/testsys"
)

// Mode is how a [Server] treats the requests of the kernel.
type Mode int

// The modes. A dead server is one that was closed.
const (
	Healthy Mode = iota // answers
	Hung                // reads requests and answers none but INIT
	Frozen              // reads nothing, so that even INIT waits
	Dead                // its device is closed, or the mount is gone
)

// Options are the ways in which a server can start out.
type Options struct {
	// HangBeforeInit starts the server frozen: it reads nothing and so
	// never answers INIT, until Resume.
	HangBeforeInit bool
	// HoldInit starts the server hung, so that it reads INIT, too, and answers
	// it at Resume.
	HoldInit bool
	// Silent are requests that are read and never answered.
	Silent []Opcode
}

// mode is the one to start in.
func (o Options) mode() Mode {
	switch {
	case o.HangBeforeInit:
		return Frozen
	case o.HoldInit:
		return Hung
	}
	return Healthy
}

// Server serves a [Tree] on a fuse device. It is safe for concurrent use.
//
// It works in a process of its own, which ends with the server or with the test. A Go
// program cannot safely use a mount that it serves itself: os.Open registers the new file
// with epoll, which for a FUSE file sends a request to the daemon, while the runtime
// counts the thread as running Go code. The next garbage collection then stops the
// threads that should answer, and waits for ever. And a process that is killed while it
// waits for its own mount never ends.
type Server struct {
	process *os.Process
	control *os.File

	mu       sync.Mutex // of all below, held during a command
	enc      *gob.Encoder
	mode     Mode
	closed   bool
	requests []Request // after the end
	err      error

	answers  chan []Request // of the process, to commands
	ended    chan struct{}  // closed when it gives no more of them
	finished chan struct{}  // closed when all above is final
	ready    chan struct{}
}

// Serve is [ServeOptions] with none.
func Serve(dev *os.File, tree Tree) *Server {
	return ServeOptions(dev, tree, Options{})
}

// ServeOptions starts to answer the kernel's requests on dev, a descriptor of the fuse
// device that was mounted already (or prepared with [fusetest.SyncInit]). The program must have
// called [fusetest.RunTests] or [fusetest.MaybeShim]. A server that cannot start has ended at once, and
// Wait returns the reason.
//
// The server owns dev from here on, whatever happens. It closes dev in Close, or when the
// mount is gone.
func ServeOptions(dev *os.File, tree Tree, opts Options) *Server {
	s := &Server{
		answers:  make(chan []Request, 1),
		ended:    make(chan struct{}),
		finished: make(chan struct{}),
		ready:    make(chan struct{}),
		mode:     opts.mode(),
	}
	err := s.start(dev)
	testsys.MustClose(dev)
	if err != nil {
		s.finish(nil, fmt.Errorf("start the server: %w", err))
		return s
	}
	s.enc = gob.NewEncoder(s.control)
	go s.listen()
	s.command(setup{Tree: tree, IsFile: tree.FileRoot != nil, Options: opts})
	return s
}

// Hang stops the answers. Requests are still read, as by a daemon that is stuck, and the
// processes that caused them wait. INIT is answered all the same.
func (s *Server) Hang() { s.set(Hung) }

// Freeze stops the server from reading requests, as a daemon that was stopped. A process
// that waits for a request that was not read can be killed; after Hang it cannot.
func (s *Server) Freeze() { s.set(Frozen) }

// Resume makes a hung or frozen server healthy again. It answers the requests that it
// held back.
func (s *Server) Resume() { s.set(Healthy) }

func (s *Server) set(m Mode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mode != Dead {
		s.mode = m
		s.command(command{Set: true, Mode: m})
	}
}

// Mode returns the server's present mode.
func (s *Server) Mode() Mode {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mode
}

// Pid returns the number of the server's process, 0 when it never started.
func (s *Server) Pid() int {
	if s.process == nil {
		return 0
	}
	return s.process.Pid
}

// Close ends the daemon. The device is closed when Close returns; the mount stays, and an
// access gets ENOTCONN. More calls do no harm. The error is that of a server that had
// failed before.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.mode != Dead {
		s.closed, s.mode = true, Dead
		s.command(command{Set: true, Mode: Dead})
	}
	s.mu.Unlock()
	if err := s.Wait(); !errors.Is(err, fs.ErrClosed) {
		return err
	}
	return nil
}

// Wait returns when the server has ended and its device is closed: nil when the mount is
// gone or was aborted, fs.ErrClosed after Close, and otherwise the failure; EPERM means
// that the device was never mounted.
func (s *Server) Wait() error {
	<-s.finished
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Ready returns a channel that is closed once INIT was answered. It stays open if that
// never happens; select with Done.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Done returns a channel that is closed when the server has ended.
func (s *Server) Done() <-chan struct{} { return s.finished }

// Requests returns the opcodes of all requests so far, in order. It includes those that
// were answered before the call.
func (s *Server) Requests() (list []Opcode) {
	for _, r := range s.Log() {
		list = append(list, r.Op)
	}
	return list
}

// Request is one request of the kernel: its kind, and the ids of file access of
// the thread that caused it.
type Request struct {
	Op       Opcode
	UID, GID uint32
}

// Log returns all requests so far, in order.
func (s *Server) Log() []Request {
	s.mu.Lock()
	if s.mode != Dead {
		if list, ok := s.command(command{}); ok {
			s.mu.Unlock()
			return list
		}
	}
	s.mu.Unlock()
	<-s.finished
	return slices.Clone(s.requests) // final
}

// Count returns how many requests of one kind there were.
func (s *Server) Count(op Opcode) int {
	n := 0
	for _, o := range s.Requests() {
		if o == op {
			n++
		}
	}
	return n
}

// Asked returns the requests that an access caused: all but INIT, DESTROY, FORGET and
// INTERRUPT.
func (s *Server) Asked() []Opcode {
	return slices.DeleteFunc(s.Requests(), Opcode.isHousekeeping)
}

// AwaitAsked waits until accesses have caused more than so many requests (see
// Asked), and fails the test when none comes.
func (s *Server) AwaitAsked(t testing.TB, n int) {
	t.Helper()
	for deadline := time.Now().Add(fusetest.Patience); len(s.Asked()) <= n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no request within %v", fusetest.Patience)
		}
	}
}
