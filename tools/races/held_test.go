package races

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// ownFuse is a FUSE file system of alice's, and a file in it that alice has opened.
type ownFuse struct {
	server *fuseserver.Server
	file   *os.File
}

// serveOwn mounts alice's file system on a directory, and opens a file of it.
func serveOwn(t *testing.T, dir string, tree fuseserver.Tree, name string) *ownFuse {
	t.Helper()
	// FLUSH is answered: the exec of each program that inherits the file closes it, and
	// would wait for the daemon.
	server, err := fuseserver.Mount(dir, tree, fuseserver.MountOptions{UID: alice, GID: alice, Server: fuseserver.Options{Silent: []fuseserver.Opcode{fuseserver.OpPoll}}})
	must(t, err)
	f := &ownFuse{server: server}
	t.Cleanup(func() { must(t, server.Close()) })
	must(t, fusetest.AsUser(alice, alice, func() error {
		fd, err := unix.Open(filepath.Join(dir, name), unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		// It is blocking here, so the runtime of this process does not poll it.
		f.file = os.NewFile(uintptr(fd), name)
		return unix.SetNonblock(fd, true)
	}))
	t.Cleanup(func() { must(t, f.file.Close()) })
	return f
}

// TestHeldBeforeMain passes a standard descriptor that is a non-blocking file of the
// caller's own FUSE file system, whose daemon does not answer. Go registers such a file
// with the poller before main. Wherever that holds the process, it has the caller's ids,
// and the daemon sees requests of no other user.
func TestHeldBeforeMain(t *testing.T) {
	program := install(t)
	for i, name := range []string{"stdin", "stdout", "stderr"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			f := serveOwn(t, w.home, fuseserver.Tree{Files: map[string][]byte{"file": []byte("text")}}, "file")
			call := helpertest.Call{Prog: program, UID: alice, GID: alice, Dir: "/", Socket: helpertest.NoSocket, Args: []string{"-V"}}
			*[]**os.File{&call.Stdin, &call.Stdout, &call.Stderr}[i] = f.file
			ctx, cancel := context.WithTimeout(t.Context(), fusetest.Patience)
			defer cancel()
			p, err := call.Start(ctx)
			must(t, err)
			if f.asked(t, p, fuseserver.OpPoll) {
				bad, threads, err := asCaller(p.Pid())
				must(t, err)
				if len(bad) > 0 {
					t.Errorf("held with %d threads: %q", threads, bad)
				}
			}
			// Not even SIGKILL ends the wait for a request that the daemon has read.
			must(t, endNow(p), f.server.Close())
			if r := p.Wait(); r.Signal != unix.SIGKILL && r.Exit != 0 {
				t.Errorf("exit %d, signal %d, %v", r.Exit, r.Signal, r.Err)
			}
			wantCallers(t, f.server)
		})
	}
}

// asked waits until the daemon gets a request, or the program has ended.
func (f *ownFuse) asked(t *testing.T, p *helpertest.Proc, op fuseserver.Opcode) (asked bool) {
	t.Helper()
	waitFor(t, fmt.Sprintf("the program asks for %v, or ends", op), func() bool {
		select {
		case <-p.Exited():
			return true
		default:
			asked = f.server.Count(op) > 0
			return asked
		}
	})
	return asked
}

// endNow kills a program that may have ended already.
func endNow(p *helpertest.Proc) error {
	if err := p.Signal(unix.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// nobodys are requests that the kernel makes by itself.
var nobodys = map[fuseserver.Opcode]bool{
	fuseserver.OpInit: true, fuseserver.OpDestroy: true, fuseserver.OpForget: true, fuseserver.OpBatchForget: true,
	fuseserver.OpRelease: true, fuseserver.OpReleasedir: true, fuseserver.OpInterrupt: true,
}

// TestHeldByPipe has the helper wait after a refusal, as it writes to standard error: a
// full pipe that nothing reads. So a caller can hold it for any time.
func TestHeldByPipe(t *testing.T) {
	program := install(t)
	w := newWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), fusetest.Patience)
	defer cancel()
	p, err := helpertest.Call{
		Prog: program, UID: alice, GID: alice, Dir: "/", Args: []string{"-o", "nonsense", w.m}, Stderr: fullPipe(t),
		Env: []string{"GODEBUG=inittrace=1"},
	}.Start(ctx)
	must(t, err)
	waitFor(t, "it waits for the pipe", func() bool { return waitsIn(p.Pid(), unix.SYS_WRITE) })
	bad, threads, err := asCaller(p.Pid())
	must(t, err)
	if len(bad) > 0 {
		t.Errorf("held with %d threads: %q", threads, bad)
	}
	must(t, p.Signal(unix.SIGKILL))
	if r := p.Wait(); r.Signal != unix.SIGKILL {
		t.Errorf("exit %d, signal %d, %v", r.Exit, r.Signal, r.Err)
	}
}

// waitsIn reports whether the main thread of a process waits in a system call.
func waitsIn(pid int, nr uintptr) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid))
	now := uintptr(0)
	n, scanErr := fmt.Sscan(string(text), &now)
	return err == nil && scanErr == nil && n == 1 && now == nr
}

// waitFor waits until a condition is true.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(fusetest.Patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in %v it did not happen that %s", fusetest.Patience, what)
		}
	}
}
