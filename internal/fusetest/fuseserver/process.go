package fuseserver

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/testsys"
)

// The test and its server's process communicate over a socket: setup and commands in one
// direction, events in the other, with an answer to each command. The process ends with
// the socket, so that no server outlives its test.

const serverEnv = "FUSETEST_SERVER"

type setup struct {
	Tree    Tree
	IsFile  bool // an empty FileRoot travels as nil
	Options Options
}

// command changes the mode, or only asks for the requests.
type command struct {
	Set  bool
	Mode Mode
}

type eventKind int

const (
	eventAnswer eventKind = iota + 1
	eventReady
	eventEnd
)

type event struct {
	Kind     eventKind
	Requests []Request
	Errno    int // of the end
	Text     string
}

// start starts the process.
func (s *Server) start(dev *os.File) error {
	if !fusetest.Restartable() {
		return errors.New("a fusetest server needs RunTests or MaybeShim first")
	}
	mine, theirs, err := testsys.Socketpair(unix.SOCK_STREAM)
	if err != nil {
		return err
	}
	defer testsys.MustClose(theirs)
	s.process, err = os.StartProcess("/proc/self/exe", []string{"fusetest-server"}, &os.ProcAttr{
		Env:   []string{serverEnv + "=1", "GORACE=atexit_sleep_ms=0"}, // under -race the exit would wait a second
		Files: []*os.File{nil, nil, os.Stderr, dev, theirs},
		Sys:   &syscall.SysProcAttr{Setpgid: true}, // ^C goes to the test, which ends it
	})
	if err != nil {
		return errors.Join(err, mine.Close())
	}
	s.control = mine
	return nil
}

// command sends a message and waits for its answer: the requests so far. It returns false
// when the process has ended instead. The caller holds s.mu, or is the only one.
func (s *Server) command(message any) ([]Request, bool) {
	if err := s.enc.Encode(message); err != nil {
		return nil, false // the process has ended, which listen notices
	}
	select {
	case list := <-s.answers:
		return list, true
	case <-s.ended:
		return nil, false
	}
}

// listen forwards the process's events until its end, and reaps it.
func (s *Server) listen() {
	dec := gob.NewDecoder(s.control)
	var last event
	var err error
	for last.Kind != eventEnd && err == nil {
		last = event{}
		err = dec.Decode(&last)
		switch last.Kind {
		case eventAnswer:
			s.answers <- last.Requests
		case eventReady:
			close(s.ready)
		}
	}
	close(s.ended)
	if err != nil {
		err = fmt.Errorf("the server's process ended: %w", err)
	} else if last.Text != "" {
		err = fmt.Errorf("fuse server: %s: %w", last.Text, unix.Errno(last.Errno))
	}
	testsys.MustClose(s.control)
	_, waitErr := s.process.Wait()
	s.finish(last.Requests, errors.Join(err, waitErr))
}

// finish makes everything final.
func (s *Server) finish(requests []Request, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && s.closed {
		err = fs.ErrClosed
	}
	s.mode, s.requests, s.err = Dead, requests, err
	close(s.finished)
}

func init() {
	fusetest.Role(serverEnv, func(string) {
		if err := serverMain(); err != nil {
			fmt.Fprintln(os.Stderr, "fusetest server:", err)
			os.Exit(1)
		}
		os.Exit(0)
	})
}

// serverMain is the server's process: the device is descriptor 3, the socket 4.
func serverMain() error {
	unix.CloseOnExec(3)
	control := os.NewFile(4, "control")
	p := &serverProcess{enc: gob.NewEncoder(control)}
	dec := gob.NewDecoder(control)
	var first setup
	if err := dec.Decode(&first); err != nil {
		return err
	}
	if first.IsFile && first.Tree.FileRoot == nil {
		first.Tree.FileRoot = []byte{}
	}
	e, err := newEngine(3, first.Tree, first.Options, func() { p.send(event{Kind: eventReady}) })
	if err != nil {
		return err
	}
	p.send(event{Kind: eventAnswer})
	go func() {
		errno, text := e.end()
		p.send(event{Kind: eventEnd, Requests: e.snapshot(), Errno: int(errno), Text: text})
	}()
	for {
		var c command
		if err := dec.Decode(&c); err != nil {
			return nil // the test has closed the socket, or is dead
		}
		if c.Set && c.Mode == Dead {
			go e.close() // its end is an event; this goroutine must notice the socket's end
		} else if c.Set {
			e.set(c.Mode)
		}
		p.send(event{Kind: eventAnswer, Requests: e.snapshot()})
	}
}

// ServeHere serves a copy of dev in this process, with all that [Server] says about that.
// wait waits for the end of the mount.
func ServeHere(dev *os.File, tree Tree) (wait func() error, err error) {
	fd, err := unix.FcntlInt(dev.Fd(), unix.F_DUPFD_CLOEXEC, 10) // not one that a test wants
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	ready := make(chan struct{})
	e, err := newEngine(fd, tree, Options{}, func() { close(ready) })
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	<-ready
	return func() error {
		if errno, text := e.end(); text != "" {
			return fmt.Errorf("%s (%w)", text, errno)
		}
		return nil
	}, nil
}

// serverProcess sends the events of several goroutines.
type serverProcess struct {
	mu  sync.Mutex
	enc *gob.Encoder
}

// send ends the process when the test has ended.
func (p *serverProcess) send(v event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.enc.Encode(v); err != nil {
		os.Exit(0)
	}
}
