package races

import (
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// served is a mount service whose workers are attacked.
type served struct {
	client string // fusermount3 without rights
	socket string

	mu     sync.Mutex
	world  *world
	trial  *trial // nil: none is under way
	idle   map[int]bool
	target int // the worker that serves in this trial, once it has become alice
}

func startServed(t *testing.T) *served {
	t.Helper()
	s := &served{client: fusetest.InstallHelper(t, helpertest.Program(t), fusetest.Plain), idle: map[int]bool{}}
	s.socket = helpertest.StartIntercepted(t, s.decide, append([]string{"mmap"}, blind...)...)
	return s
}

// attack has the worker that serves next attacked.
func (s *served) attack(w *world, tr *trial) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world, s.trial, s.target = w, tr, 0
}

func (s *served) decide(c helpertest.Syscall) helpertest.Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !c.Child || s.trial == nil:
	case c.PID == s.target:
		s.trial.step(s.world, c)
	case s.idle[c.PID] && c.Name == "getresuid":
		s.target = c.PID
	}
	if c.Child && c.Name == "recvmsg" {
		s.idle[c.PID] = true
	}
	return helpertest.Continue
}

// A client may stop the worker that has become them. It is killed after a time, and until then others
// are served, and other requests of that client, too.
func TestServiceStopped(t *testing.T) {
	t.Parallel() // it takes half a minute
	service := helpertest.StartService(t, "--max-requests-per-user", "2")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	helpertest.Must(t, err)
	defer unix.Close(fd)
	as := func(uid uint32, f func() error) {
		t.Helper()
		helpertest.Must(t, fusetest.AsUser(uid, uid, f))
	}
	as(alice, func() error { return unix.Connect(fd, &unix.SockaddrUnix{Name: service.Socket}) })
	var worker int
	for deadline := time.Now().Add(fusetest.Patience); worker == 0; time.Sleep(time.Millisecond) {
		if pids := service.Workers(t, alice); len(pids) > 0 {
			worker, err = strconv.Atoi(pids[0])
			helpertest.Must(t, err)
		}
		if time.Now().After(deadline) {
			t.Fatal("no worker is alice's")
		}
	}
	as(alice, func() error { return unix.Kill(worker, unix.SIGSTOP) })
	program := fusetest.InstallHelper(t, helpertest.Program(t), fusetest.Plain)
	for _, uid := range []uint32{alice, bob} {
		dir := fusetest.Dir(t, uid)
		call := helpertest.Call{Prog: program, UID: uid, GID: uid, Dir: "/", Args: []string{dir}, Env: []string{"FUSERMOUNT_SOCKET=" + service.Socket}}
		r := helpertest.Run(t, call)
		if r.Exit != 0 || r.Dev == nil {
			t.Fatalf("uid %d: exit %d, %s", uid, r.Exit, r.Stderr)
		}
		helpertest.Must(t, r.Dev.Close())
		call.Args, call.Socket = []string{"-u", dir}, helpertest.NoSocket
		if r := helpertest.Run(t, call); r.Exit != 0 {
			t.Errorf("uid %d: -u: exit %d, %s", uid, r.Exit, r.Stderr)
		}
	}
	helpertest.Must(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 60}))
	buf := make([]byte, 100)
	if n, err := unix.Read(fd, buf); err != nil || n == 0 {
		t.Fatalf("no greeting: %d bytes, %v", n, err)
	}
	if n, err := unix.Read(fd, buf); n > 0 || errors.Is(err, unix.EAGAIN) {
		t.Errorf("the connection of a stopped worker: %d bytes, %v", n, err)
	}
	if pids := service.Workers(t, alice); len(pids) > 0 {
		t.Errorf("workers of alice: %v", pids)
	}
}
