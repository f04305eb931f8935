package helpertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// ServiceProgram returns the mount service, which lies beside the helper under test.
func ServiceProgram(t testing.TB) string {
	t.Helper()
	program := filepath.Join(filepath.Dir(Program(t)), "fusermountd")
	if _, err := os.Stat(program); err != nil {
		fusetest.Skip(t, "put fusermountd beside the helper: 'make build' does: "+err.Error())
	}
	return program
}

// Service is a running mount service.
type Service struct {
	Program string
	Socket  string
	Process *os.Process

	mu  sync.Mutex
	log bytes.Buffer
}

// Log returns what the service has written to standard error.
func (s *Service) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

func (s *Service) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

// Workers returns the workers that serve a user, or watch a mount of theirs.
func (s *Service) Workers(t testing.TB, uid uint32) (pids []string) {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	Must(t, err)
	for _, dir := range dirs {
		exe, err := os.Readlink(dir + "/exe")
		text, other := os.ReadFile(dir + "/status")
		if err == nil && other == nil && exe == s.Program && strings.Contains(string(text), fmt.Sprintf("\nUid:\t%d\t", uid)) {
			pids = append(pids, filepath.Base(dir))
		}
	}
	return pids
}

// StartService starts the mount service as root, and ends it with the test. Without arguments it gives
// the one at $FUSERMOUNT_TEST_SOCKET, if that is set, of which the socket alone is known.
func StartService(t testing.TB, args ...string) *Service {
	t.Helper()
	fusetest.NeedRoot(t)
	fusetest.NeedDevice(t)
	if socket := os.Getenv("FUSERMOUNT_TEST_SOCKET"); socket != "" && len(args) == 0 {
		return &Service{Socket: socket}
	}
	s := &Service{Socket: filepath.Join(fusetest.Dir(t, 0), "socket")}
	s.Program = fusetest.InstallHelper(t, ServiceProgram(t), fusetest.Plain)
	cmd := exec.Command(s.Program, append([]string{"--socket", s.Socket}, args...)...)
	cmd.Env, cmd.Dir, cmd.Stderr = []string{}, "/", s
	cmd.WaitDelay = fusetest.Patience // its workers have standard error, too
	Must(t, cmd.Start())
	s.Process = cmd.Process
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(unix.SIGTERM) // a test may have ended it
		var exit *exec.ExitError
		if err := <-ended; err != nil && !errors.As(err, &exit) {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the service says: %s", s.Log())
		}
	})
	awaitService(t, s.Socket, ended, s.Log)
	return s
}

// StartIntercepted starts the mount service with one idle worker. decide is asked before each of its
// calls and its workers', but those that are named.
func StartIntercepted(t testing.TB, decide func(Syscall) Verdict, not ...string) (socket string) {
	t.Helper()
	NeedIntercept(t)
	fusetest.NeedDevice(t)
	socket = filepath.Join(fusetest.Dir(t, 0), "socket")
	ctx, cancel := context.WithCancel(context.Background()) // not the test's, which ends before its cleanups
	t.Cleanup(cancel)
	p, err := Call{
		Prog: fusetest.InstallHelper(t, ServiceProgram(t), fusetest.Plain), KeepRoot: true, Dir: "/",
		Args: []string{"--socket", socket, "--workers", "1"}, Socket: NoSocket, Env: []string{"GOMAXPROCS=1"},
		Intercept: decide, InterceptNot: not,
	}.Start(ctx)
	Must(t, err)
	var result Result
	ended := make(chan error, 1)
	go func() {
		result = p.Wait()
		ended <- result.Err
	}()
	t.Cleanup(func() {
		_ = p.Signal(unix.SIGTERM) // if it has not ended
		if err := <-ended; !t.Skipped() && (err != nil || result.Exit != 0) {
			t.Errorf("the service: exit %d, %v\n%s", result.Exit, err, result.Stderr)
		}
	})
	awaitService(t, socket, ended, func() string { return result.Stderr })
	return socket
}

// awaitService waits until a service listens. ended tells that it has ended; its log is asked for
// after that.
func awaitService(t testing.TB, socket string, ended chan error, log func() string) {
	t.Helper()
	for deadline := time.Now().Add(fusetest.Patience); ; {
		err := dial(socket)
		if err == nil {
			return
		}
		select {
		case err := <-ended:
			ended <- err
			if text := log(); NotHere(text) {
				fusetest.Skip(t, "use Linux 6.11 or later, with fs.suid_dumpable of 0 or 2: "+text)
			}
			t.Fatalf("the service has ended: %v\n%s", err, log())
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// NotHere says whether what the service has said before it ended is that it cannot run on this machine.
func NotHere(log string) bool {
	return strings.Contains(log, "needs Linux") || strings.Contains(log, "fs.suid_dumpable")
}

// AwaitListener waits for a service that is no test's.
func AwaitListener(socket string) (err error) {
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if err = dial(socket); err == nil {
			return nil
		}
	}
	return err
}

func dial(socket string) error {
	c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: socket, Net: "unixpacket"})
	if err != nil {
		return err
	}
	return c.Close()
}
