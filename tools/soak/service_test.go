package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// serviceUsers ask the mount service at the same time.
const (
	serviceUsers    = 50
	requestsPerUser = 20
)

// served is asked by fusermount3 without rights.
type served struct {
	program  string
	socket   string
	listener *os.File // stays when the service ends, as with systemd

	mu   sync.Mutex
	pids map[int]bool // supervisors
}

func newServed(t *testing.T) *served {
	t.Helper()
	helpertest.StartService(t) // where none can run, this is skipped
	s := &served{
		program: fusetest.InstallHelper(t, helpertest.ServiceProgram(t), fusetest.Plain),
		socket:  filepath.Join(fusetest.Dir(t, 0), "socket"), pids: map[int]bool{},
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	helpertest.Must(t, err, unix.Bind(fd, &unix.SockaddrUnix{Name: s.socket}), os.Chmod(s.socket, 0o666), unix.Listen(fd, 4096))
	s.listener = os.NewFile(uintptr(fd), "listener")
	t.Cleanup(func() { _ = s.listener.Close() })
	conf := "/etc/fuse.conf"
	helpertest.Must(t, os.WriteFile(conf, []byte("mount_max = 100000\n"), 0o644))
	t.Cleanup(func() { _ = os.Remove(conf) })
	return s
}

// start starts a supervisor, and gives what ends it by a signal and waits for it.
func (s *served) start() (end func(unix.Signal) error, err error) {
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" --max-requests-per-user 30`, s.program)
	cmd.Env, cmd.Dir, cmd.ExtraFiles, cmd.Stderr = []string{"LISTEN_FDS=1"}, "/", []*os.File{s.listener}, os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pids[cmd.Process.Pid] = true
	return func(sig unix.Signal) error {
		err := cmd.Process.Signal(sig)
		var exit *exec.ExitError
		if waited := cmd.Wait(); !errors.As(waited, &exit) {
			err = errors.Join(err, waited)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.pids, cmd.Process.Pid)
		return err
	}, nil
}

// processes are all that run the service's program. Without the supervisors they are workers and
// their children.
func (s *served) processes(supervisors bool) (pids []int, err error) {
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, dir := range dirs {
		pid, err := strconv.Atoi(dir.Name())
		if err != nil || !supervisors && s.pids[pid] {
			continue
		}
		if exe, err := os.Readlink("/proc/" + dir.Name() + "/exe"); err == nil && exe == s.program { // it may have ended
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// wantNone wants all processes of the service to end.
func (s *served) wantNone(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(fusetest.Patience); ; time.Sleep(time.Millisecond) {
		left, err := s.processes(true)
		helpertest.Must(t, err)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("still running: %v", left)
			return
		}
	}
}

// worker is a client. Its actions are those that make sense with the service.
func (s *served) worker(t *testing.T, program string, uid uint32, random *rand.Rand, sum *counts) *worker {
	return &worker{
		t: t, program: program, env: []string{"FUSERMOUNT_SOCKET=" + s.socket}, uid: uid, dir: fusetest.Dir(t, uid),
		rand: random, counts: sum,
	}
}

// A thousand requests of fifty users at once: none is lost, and none goes wrong.
func TestServiceCrowd(t *testing.T) {
	s := newServed(t)
	client := fusetest.InstallHelper(t, helpertest.Program(t), fusetest.Plain)
	before := prepare(t)
	var all sync.WaitGroup
	sum, seed := newCounts(), uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for n := range uint64(serviceUsers * requestsPerUser) {
		w := s.worker(t, client, firstUser+uint32(n%serviceUsers), rand.New(rand.NewPCG(seed, n)), sum)
		all.Add(1)
		go func() {
			defer all.Done()
			if err := w.plain(); err != nil {
				t.Errorf("uid %d: %v", w.uid, err)
			}
		}()
	}
	end, err := s.start() // when many wait already
	helpertest.Must(t, err)
	all.Wait()
	helpertest.Must(t, end(unix.SIGTERM))
	s.wantNone(t)
	wantNothingLeft(t, before, sum)
}

// Supervisors, workers, their children in user namespaces, and clients are killed at any moment. What
// is mounted stays mounted, what fails says so, and nothing is left over.
func TestServiceSoak(t *testing.T) {
	s := newServed(t)
	if _, err := exec.LookPath("unshare"); err != nil {
		fusetest.Skip(t, "install util-linux: "+err.Error())
	}
	client := fusetest.InstallHelper(t, helpertest.Program(t), fusetest.Plain)
	before := prepare(t)
	sum, seed := newCounts(), uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	end, err := s.start()
	helpertest.Must(t, err)

	stays := s.worker(t, client, firstUser, rand.New(rand.NewPCG(seed, 1000)), sum)
	server, err := stays.mount()
	helpertest.Must(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), duration(t))
	defer cancel()
	var all sync.WaitGroup
	for n := range uint64(serviceUsers) {
		w := s.worker(t, client, firstUser+uint32(n), rand.New(rand.NewPCG(seed, n)), sum)
		all.Add(1)
		go func() {
			defer all.Done()
			for ctx.Err() == nil {
				if err := w.attempt(); err != nil {
					t.Errorf("uid %d: %v", w.uid, err)
					return
				}
			}
		}()
	}
	chaos := rand.New(rand.NewPCG(seed, 2000))
	for ctx.Err() == nil {
		time.Sleep(time.Duration(chaos.IntN(30)) * time.Millisecond) // a random moment
		if chaos.IntN(5) == 0 {
			sig := []unix.Signal{unix.SIGKILL, unix.SIGTERM}[chaos.IntN(2)]
			next, err := s.start()
			helpertest.Must(t, err, end(sig))
			end = next
			sum.add(sig.String() + " to the supervisor")
			continue
		}
		pids, err := s.processes(false)
		helpertest.Must(t, err)
		if len(pids) > 0 && unix.Kill(pids[chaos.IntN(len(pids))], unix.SIGKILL) == nil { // it may have ended
			sum.add("workers and children killed")
		}
	}
	all.Wait()
	if err := stays.served(); err != nil {
		t.Errorf("what was mounted before: %v", err)
	}
	helpertest.Must(t, stays.unmount(), server.Close(), end(unix.SIGTERM))
	s.wantNone(t)
	fmt.Println("service soak:", sum)
	wantNothingLeft(t, before, sum)
}

// attempt mounts and unmounts while the service may be killed. Then the client says so.
func (w *worker) attempt() error {
	c := w.call()
	switch w.rand.IntN(4) {
	case 0:
		ctx, stop := context.WithTimeout(context.Background(), fusetest.Patience)
		defer stop()
		p, err := c.Start(ctx)
		if err != nil {
			return err
		}
		w.counts.add("clients killed")
		return errors.Join(w.kill(p), w.persist())
	case 1:
		if unshare, err := exec.LookPath("unshare"); err == nil { // in a user namespace, and its mount goes with it
			c.Prog, c.Args = unshare, append([]string{"--user", "--map-current-user", "--mount", c.Prog}, c.Args...)
		}
	}
	r := helpertest.RunWithin(context.Background(), c)
	if r.Err != nil {
		return r.Err
	}
	if r.Exit != 0 {
		w.counts.add("requests that were told of it")
		if r.Dev != nil {
			r.Err = r.Dev.Close()
		}
		if !told(r.Stderr) {
			r.Err = fmt.Errorf("exit %d: %s", r.Exit, r.Stderr)
		}
		return errors.Join(r.Err, w.persist())
	}
	if r.Dev == nil {
		return errors.New("no device")
	}
	if c.Prog != w.program {
		w.counts.add("mounts in a user namespace")
		return errors.Join(r.Dev.Close(), w.empty())
	}
	server := fuseserver.Serve(r.Dev, fuseserver.Tree{})
	err := w.served()
	w.counts.add("mounted and served")
	return errors.Join(err, w.persist(), unmounted(server.Close()))
}

// served wants the daemon to answer.
func (w *worker) served() error {
	return fusetest.AsUser(w.uid, w.uid, func() error {
		var st unix.Stat_t
		err := unix.Stat(w.dir, &st)
		if err == nil && st.Ino != 1 {
			err = errors.New("the root of the file system is not there")
		}
		return err
	})
}

// told says whether a client has been told that the service has ended.
func told(stderr string) bool {
	return strings.Contains(stderr, "the mount service has ended the connection without an answer") ||
		strings.Contains(stderr, "the child in the user namespace did not answer")
}

// persist unmounts until nothing is there. Of a client that was killed a proof may be left.
func (w *worker) persist() error {
	for deadline := time.Now().Add(fusetest.Patience); ; {
		_, found, err := fusetest.TopMount(w.dir)
		if err != nil {
			return err
		}
		if !found {
			break
		}
		r := helpertest.RunWithin(context.Background(), w.unmountCall("-uz"))
		if r.Err != nil {
			return r.Err
		}
		if r.Exit != 0 && !told(r.Stderr) && !strings.Contains(r.Stderr, "not found in /etc/mtab") || time.Now().After(deadline) {
			return fmt.Errorf("unmount: exit %d: %s", r.Exit, r.Stderr)
		}
	}
	names, err := os.ReadDir(w.dir)
	for _, name := range names {
		err = errors.Join(err, os.Remove(filepath.Join(w.dir, name.Name())))
	}
	return err
}
