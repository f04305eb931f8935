//go:build linux

// Package service is the mount service: it mounts and unmounts FUSE file systems for clients that
// can run no set-uid program. It has a supervisor, and workers that each serve one client.
//
// The supervisor accepts connections, has each user's wait in a queue of their own, and hands them to
// workers that are running already. It reads nothing that a client sends, except in what workers report
// of requests (Outcome). It can have many sockets, and
// those with terms of their own grant what these say, and not what fuse.conf does. A worker learns from the
// kernel who its client is (package peer), enters their mount namespace, becomes them for good
// (package priv), and then does what the set-uid program does (package helper).
package service

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/peer"
	"github.com/go-fusermount/fusermount/internal/wire"
)

// Messages of a worker to the supervisor begin with a byte and a number of 32 bits. The last three come
// where the socket has terms.
const (
	// messageLimit says how many seconds a wait for the client may take from now on.
	messageLimit = 'l'
	// messageWatch asks whether the worker may go on to watch a mount. The answer is one byte.
	messageWatch = 'w'
	// messageClaim asks how many file systems the socket's clients have; this worker may mount another
	// one. The answer is a number of 32 bits.
	messageClaim = 'c'
	// messageMounted says that the file system with this connection is mounted.
	messageMounted = 'm'
	// messageDone says how the request has ended: an errno, followed by more.
	messageDone = 'd'

	granted = 1
	refused = 0
)

// Limits are how much the service does at a time.
type Limits struct {
	Idle     int // workers that wait for a client
	Requests int // requests of all users
	PerUser  int // requests of one user, or of a socket with terms; as the next two
	Queue    int // clients that wait for a worker
	Watchers int // mounts with auto_unmount, each of which is a process
}

// DefaultLimits are those of a machine of any size.
var DefaultLimits = Limits{Idle: 2, Requests: 64, PerUser: 16, Queue: 1000, Watchers: 200}

// workLimit is how long a request may take, apart from waits for the client.
const workLimit = 30 * time.Second

// Config is how a supervisor works.
type Config struct {
	Limits Limits
	// Program is the file of which workers are made: it calls Work if WorkerArgument is its only
	// argument. Empty is the file of this process.
	Program string
	// Done is told how each request has ended that came through a socket with terms. It is called
	// from many goroutines. nil: nobody is told.
	Done func(*Socket, Outcome)
}

// Supervisor keeps workers waiting, and gives them clients.
type Supervisor struct {
	limits  Limits
	program string
	done    func(*Socket, Outcome)
	control int // the root of fusectl, or -1

	mu       sync.Mutex
	changed  *sync.Cond
	sockets  map[*Socket]bool // that accept clients
	queue    queue
	idle     []*workerProcess        // the oldest first
	running  map[*workerProcess]bool // those that have, or had, a client
	busy     map[account]int         // requests under way
	all      int                     // their sum
	watchers map[account]int         // workers that watch a mount
	ending   bool
	failed   error // of a socket without terms, which ends everything
}

// workerProcess is a worker, as the supervisor sees it.
type workerProcess struct {
	cmd      *exec.Cmd
	control  *os.File // closed by the worker when the request is done
	account  account
	socket   *Socket // of its client; nil while it is idle
	since    time.Time
	watching bool
	claims   bool // it may be about to mount a file system, which the socket's terms count
}

// Supported says whether this kernel tells enough of a client: who they are (SO_PEERPIDFD, Linux 6.5),
// and which mount namespace they are in, so that its table can be read (ioctls of Linux 6.11).
func Supported() error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	self, err := peer.Of(pair[0])
	if err == nil {
		defer self.Close()
		var table peer.Namespace
		if table, err = self.Mount(); err == nil {
			_, err = table.MountID()
			err = errors.Join(err, table.Close())
		}
	}
	if err != nil {
		return fmt.Errorf("the kernel does not tell enough of clients: the service needs Linux 6.11: %w", err)
	}
	return nil
}

// New makes a supervisor, which has no socket yet.
func New(c Config) (*Supervisor, error) {
	if err := untraceable(); err != nil {
		return nil, err
	}
	s := &Supervisor{
		limits: c.Limits, program: c.Program, done: c.Done, control: -1,
		sockets: map[*Socket]bool{}, queue: queue{limit: c.Limits.Queue}, running: map[*workerProcess]bool{},
		busy: map[account]int{}, watchers: map[account]int{},
	}
	if s.program == "" {
		s.program = "/proc/self/exe"
	}
	s.changed = sync.NewCond(&s.mu)
	if s.done != nil {
		var err error
		if s.control, err = openControl(); err != nil {
			return nil, fmt.Errorf("the FUSE file systems cannot be counted (fusectl): %w", err)
		}
	}
	return s, nil
}

// Run serves until ctx ends, and then those who have connected already. Workers that watch a mount
// outlive it.
func (s *Supervisor) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		s.count(func() {
			s.ending = true
			for k := range s.sockets {
				k.stop()
			}
		})
	})
	defer stop()
	s.mu.Lock()
	for !s.ending || len(s.sockets) > 0 || s.queue.n > 0 || s.all > 0 {
		s.dispatch()
		if !s.wantsWorker() {
			s.changed.Wait()
			continue
		}
		if err := s.start(); err != nil {
			log.Printf("start a worker: %v", err)
			time.AfterFunc(time.Second, s.changed.Broadcast) // the cause may pass: memory, processes
			s.changed.Wait()
		}
	}
	for _, w := range s.idle {
		_ = w.control.Close() // it sees that, and ends
	}
	s.mu.Unlock()
	return s.failed
}

// Works says whether there are workers. Where none can be started, no request is carried out.
func (s *Supervisor) Works() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.idle)+len(s.running) > 0
}

// wantsWorker says whether one more is to be started. While a request is under way and another worker
// is idle, that would take the processor from the request.
func (s *Supervisor) wantsWorker() bool {
	enough := len(s.idle) >= s.limits.Idle || len(s.idle)+s.all >= s.limits.Requests
	return !enough && (len(s.idle) == 0 || s.all == 0)
}

// greet sends the first message.
func (c *connection) greet() error {
	n, err := unix.Getrandom(c.nonce[:], 0)
	if err == nil && n != len(c.nonce) {
		err = unix.EIO
	}
	if err != nil {
		return os.NewSyscallError("getrandom", err)
	}
	return send(c.fd, wire.Hello{Version: wire.Version, Nonce: c.nonce}.Append(nil))
}

// dispatch gives clients to idle workers.
func (s *Supervisor) dispatch() {
	for len(s.idle) > 0 {
		a, c, found := s.queue.pop(func(a account) bool { return s.busy[a] < s.limits.PerUser })
		if !found {
			return
		}
		w := s.idle[0]
		s.idle = s.idle[1:]
		for w.hand(c, a.socket.terms) != nil { // it has ended
			_ = w.control.Close()
			if len(s.idle) == 0 {
				s.queue.putBack(a, c)
				return
			}
			w, s.idle = s.idle[0], s.idle[1:]
		}
		_ = unix.Close(c.fd) // the worker has it
		w.account, w.socket, w.since = a, a.socket, time.Now()
		s.running[w] = true
		s.busy[a]++
		s.all++
		go s.follow(w)
	}
}

// hand sends the worker a connection, with its terms if it has some. It does not wait.
func (w *workerProcess) hand(c connection, terms *Terms) error {
	message, fds := c.nonce[:], []int{c.fd}
	if terms != nil {
		message = append(slices.Clone(message), terms.encode()...)
		if terms.Volume >= 0 {
			fds = append(fds, terms.Volume)
		}
	}
	raw, err := w.control.SyscallConn()
	if err != nil {
		return err
	}
	failed := raw.Control(func(control uintptr) {
		err = unix.Sendmsg(int(control), message, unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
	})
	return errors.Join(err, failed)
}

// WorkerArgument is the argument by which the program is a worker.
const WorkerArgument = "--worker"

// start starts one worker. It can be given a client at once.
func (s *Supervisor) start() error {
	if err := untraceable(); err != nil { // the setting may have changed
		return err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "control")
	defer theirs.Close()
	if err := unix.SetNonblock(pair[0], true); err != nil {
		return errors.Join(os.NewSyscallError("fcntl", err), unix.Close(pair[0]))
	}
	w := &workerProcess{control: os.NewFile(uintptr(pair[0]), "control"), cmd: exec.Command(s.program)}
	w.cmd.Args, w.cmd.Env, w.cmd.Dir = []string{"fusermountd", WorkerArgument}, []string{}, "/"
	w.cmd.Stderr = os.Stderr
	w.cmd.ExtraFiles = []*os.File{theirs} // controlFD
	if err := w.cmd.Start(); err != nil {
		return errors.Join(err, w.control.Close())
	}
	s.idle = append(s.idle, w)
	go s.reap(w)
	return nil
}

// follow waits until the worker has closed its control socket, and kills one that takes too long.
func (s *Supervisor) follow(w *workerProcess) {
	o := Outcome{Errno: unix.EIO, Text: "the worker has ended without an answer"}
	for deadline := time.Now().Add(workLimit); ; {
		if err := w.control.SetReadDeadline(deadline); err != nil {
			log.Printf("the time of worker %d: %v", w.cmd.Process.Pid, err)
		}
		kind, number, rest, err := w.message()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			log.Printf("worker %d has taken too long", w.cmd.Process.Pid)
			_ = w.cmd.Process.Kill() // it may have ended just now
		}
		if err != nil {
			break
		}
		var answer []byte
		switch kind {
		case messageLimit:
			deadline = time.Now().Add(time.Duration(number)*time.Second + workLimit)
		case messageWatch:
			answer = []byte{s.grantWatch(w)}
		case messageClaim:
			answer = binary.NativeEndian.AppendUint32(nil, uint32(w.socket.claim(w)))
		case messageMounted:
			w.socket.mounted(w, number)
		case messageDone:
			o = parseOutcome(number, rest)
		}
		if answer == nil {
			continue
		}
		if _, err := w.control.Write(answer); err != nil {
			log.Printf("worker %d: %v", w.cmd.Process.Pid, err)
		}
	}
	_ = w.control.Close()
	if s.done != nil && w.socket.terms != nil {
		o.Duration = time.Since(w.since)
		s.done(w.socket, o)
	}
	s.count(func() {
		s.all--
		decrement(s.busy, w.account)
	})
}

// message reads one message; the error is io.EOF when the worker has closed its end.
func (w *workerProcess) message() (kind byte, number uint32, rest []byte, err error) {
	buf := make([]byte, maxOutcome)
	n, err := w.control.Read(buf)
	if err == nil && n < 5 {
		err = fmt.Errorf("a message of %d bytes", n)
	}
	if err != nil {
		return 0, 0, nil, err
	}
	return buf[0], binary.NativeEndian.Uint32(buf[1:]), buf[5:n], nil
}

func (s *Supervisor) grantWatch(w *workerProcess) (answer byte) {
	answer = refused
	s.count(func() {
		if !w.watching && s.watchers[w.account] < s.limits.Watchers {
			s.watchers[w.account]++
			w.watching, answer = true, granted
		}
	})
	return answer
}

// reap waits for a worker's end.
func (s *Supervisor) reap(w *workerProcess) {
	var exit *exec.ExitError
	if err := w.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		log.Printf("wait for worker %d: %v", w.cmd.Process.Pid, err)
	}
	s.count(func() {
		if w.watching {
			decrement(s.watchers, w.account)
		}
		delete(s.running, w)
		if i := slices.Index(s.idle, w); i >= 0 { // somebody has killed it
			s.idle = slices.Delete(s.idle, i, i+1)
			_ = w.control.Close()
		}
	})
}

func decrement(counts map[account]int, a account) {
	if counts[a]--; counts[a] == 0 {
		delete(counts, a)
	}
}

func (s *Supervisor) count(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	s.changed.Broadcast()
}
