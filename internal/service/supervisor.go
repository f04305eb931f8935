//go:build linux

// Package service is the mount service: it mounts and unmounts FUSE file systems for clients that
// can run no set-uid program. It has a supervisor, and workers that each serve one client.
//
// The supervisor accepts connections, has each user's wait in a queue of their own, and hands them to
// workers that are running already. It reads nothing that a client sends. A worker learns from the
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

	"github.com/go-fusermount/fusermount/internal/wire"
)

// Messages of a worker to the supervisor: a byte, and a number of 32 bits.
const (
	// messageLimit says how many seconds a wait for the client may take from now on.
	messageLimit = 'l'
	// messageWatch asks whether the worker may go on to watch a mount. The answer is one byte.
	messageWatch = 'w'

	granted = 1
	refused = 0
)

// Limits are how much the service does at a time.
type Limits struct {
	Idle     int // workers that wait for a client
	Requests int // requests of all users
	PerUser  int // requests of one user
	Queue    int // clients of one user that wait for a worker
	Watchers int // mounts of one user with auto_unmount, each of which is a process
}

// DefaultLimits are those of a machine of any size.
var DefaultLimits = Limits{Idle: 2, Requests: 64, PerUser: 16, Queue: 1000, Watchers: 200}

// workLimit is how long a request may take, apart from waits for the client.
const workLimit = 30 * time.Second

// Supervisor keeps workers waiting, and gives them clients.
type Supervisor struct {
	limits Limits
	listen *os.File

	mu       sync.Mutex
	changed  *sync.Cond
	queue    queue
	idle     []*workerProcess // the oldest first
	busy     map[uint32]int   // requests under way, by uid
	all      int              // their sum
	watchers map[uint32]int   // workers that watch a mount, by uid
	ending   bool
}

// workerProcess is a worker, as the supervisor sees it.
type workerProcess struct {
	cmd      *exec.Cmd
	control  *os.File // closed by the worker when the request is done
	uid      uint32
	watching bool
}

// New makes a supervisor for a listening socket of type SOCK_SEQPACKET. It takes the descriptor over.
func New(listen int, limits Limits) (*Supervisor, error) {
	err := untraceable()
	if err == nil {
		err = os.NewSyscallError("fcntl", unix.SetNonblock(listen, true))
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(listen))
	}
	s := &Supervisor{
		limits: limits, listen: os.NewFile(uintptr(listen), "socket"), queue: queue{limit: limits.Queue},
		busy: map[uint32]int{}, watchers: map[uint32]int{},
	}
	s.changed = sync.NewCond(&s.mu)
	return s, nil
}

// Run serves until ctx ends, and then those who have connected already. Workers that watch a mount
// outlive it.
func (s *Supervisor) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = s.listen.SetReadDeadline(time.Now()) })
	defer stop()
	accepted := make(chan error, 1)
	go func() { accepted <- s.accept() }()
	s.mu.Lock()
	for !s.ending || s.queue.n > 0 || s.all > 0 {
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
	return <-accepted
}

// wantsWorker says whether one more is to be started. While a request is under way and another worker
// is idle, that would take the processor from the request.
func (s *Supervisor) wantsWorker() bool {
	enough := len(s.idle) >= s.limits.Idle || len(s.idle)+s.all >= s.limits.Requests
	return !enough && (len(s.idle) == 0 || s.all == 0)
}

// accept queues clients until the listening socket's deadline.
func (s *Supervisor) accept() error {
	raw, err := s.listen.SyscallConn()
	for err == nil {
		var failed error
		fd := -1
		err = raw.Read(func(listen uintptr) bool {
			fd, _, failed = unix.Accept4(int(listen), unix.SOCK_CLOEXEC)
			return !errors.Is(failed, unix.EAGAIN)
		})
		switch {
		case err != nil:
		case failed == nil:
			s.count(func() { s.enqueue(fd) })
		case errors.Is(failed, unix.EMFILE), errors.Is(failed, unix.ENFILE), errors.Is(failed, unix.ENOMEM):
			time.Sleep(10 * time.Millisecond) // until some client is served
		case !errors.Is(failed, unix.EINTR) && !errors.Is(failed, unix.ECONNABORTED):
			err = os.NewSyscallError("accept", failed)
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	s.count(func() { s.ending = true })
	return errors.Join(err, s.listen.Close())
}

// enqueue takes over a connection, and greets the client, who can make the proof while they wait.
func (s *Supervisor) enqueue(fd int) {
	c := connection{fd: fd}
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err == nil {
		err = c.greet()
	}
	if err == nil && s.queue.push(cred.Uid, c) {
		return
	}
	if err == nil {
		refuse(fd, unix.EAGAIN, "the mount service is busy with too many of your requests", "try again when some of them have ended")
	}
	_ = unix.Close(fd) // the client sees it
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
		uid, c, found := s.queue.pop(func(uid uint32) bool { return s.busy[uid] < s.limits.PerUser })
		if !found {
			return
		}
		w := s.idle[0]
		s.idle = s.idle[1:]
		for w.hand(c) != nil { // it has ended
			_ = w.control.Close()
			if len(s.idle) == 0 {
				s.queue.putBack(uid, c)
				return
			}
			w, s.idle = s.idle[0], s.idle[1:]
		}
		_ = unix.Close(c.fd) // the worker has it
		w.uid = uid
		s.busy[uid]++
		s.all++
		go s.follow(w)
	}
}

// hand sends the worker a connection. It does not wait.
func (w *workerProcess) hand(c connection) error {
	raw, err := w.control.SyscallConn()
	if err != nil {
		return err
	}
	failed := raw.Control(func(control uintptr) {
		err = unix.Sendmsg(int(control), c.nonce[:], unix.UnixRights(c.fd), nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
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
	w := &workerProcess{control: os.NewFile(uintptr(pair[0]), "control"), cmd: exec.Command("/proc/self/exe")}
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
	for deadline := time.Now().Add(workLimit); ; {
		if err := w.control.SetReadDeadline(deadline); err != nil {
			log.Printf("the time of worker %d: %v", w.cmd.Process.Pid, err)
		}
		kind, number, err := w.message()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			log.Printf("worker %d has taken too long", w.cmd.Process.Pid)
			_ = w.cmd.Process.Kill() // it may have ended just now
		}
		if err != nil {
			break
		}
		switch kind {
		case messageLimit:
			deadline = time.Now().Add(time.Duration(number)*time.Second + workLimit)
		case messageWatch:
			if _, err := w.control.Write([]byte{s.grantWatch(w)}); err != nil {
				log.Printf("worker %d: %v", w.cmd.Process.Pid, err)
			}
		}
	}
	_ = w.control.Close()
	s.count(func() {
		s.all--
		decrement(s.busy, w.uid)
	})
}

// message reads one message; the error is io.EOF when the worker has closed its end.
func (w *workerProcess) message() (kind byte, number uint32, err error) {
	buf := make([]byte, 16)
	n, err := w.control.Read(buf)
	if err == nil && n != 5 {
		err = fmt.Errorf("a message of %d bytes", n)
	}
	if err != nil {
		return 0, 0, err
	}
	return buf[0], binary.NativeEndian.Uint32(buf[1:]), nil
}

func (s *Supervisor) grantWatch(w *workerProcess) (answer byte) {
	answer = refused
	s.count(func() {
		if !w.watching && s.watchers[w.uid] < s.limits.Watchers {
			s.watchers[w.uid]++
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
			decrement(s.watchers, w.uid)
		}
		if i := slices.Index(s.idle, w); i >= 0 { // somebody has killed it
			s.idle = slices.Delete(s.idle, i, i+1)
			_ = w.control.Close()
		}
	})
}

func decrement(counts map[uint32]int, uid uint32) {
	if counts[uid]--; counts[uid] == 0 {
		delete(counts, uid)
	}
}

func (s *Supervisor) count(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	s.changed.Broadcast()
}
