package races

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// knobs are variables of the Go runtime. With the first ones it writes, with the others
// it uses memory or threads, or ends the program.
var knobs = map[string][]string{
	"schedtrace":    {"GODEBUG=schedtrace=1,scheddetail=1", "GOMAXPROCS=500"},
	"inittrace":     {"GODEBUG=inittrace=1"},
	"gctrace":       {"GODEBUG=gctrace=1,gcpacertrace=1", "GOGC=1"},
	"feature":       {"GODEBUG=cpu.nonsense=on"},
	"given twice":   {"GODEBUG=x=1", "GODEBUG=inittrace=1"},
	"processors":    {"GOMAXPROCS=5000"},
	"limit":         {"GOMEMLIMIT=nonsense"},
	"low limit":     {"GOMEMLIMIT=1", "GOGC=off"},
	"collector":     {"GOGC=nonsense"},
	"crash":         {"GOTRACEBACK=crash", "GODEBUG=traceback=1"},
	"C code":        {"GODEBUG=cgocheck=2"},
	"stop":          {"GODEBUG=gcstoptheworld=2,gcshrinkstackoff=1,sbrk=1"},
	"preemption":    {"GODEBUG=asyncpreemptoff=1"},
	"profile":       {"GOCOVERDIR=/tmp", "GORACE=log_path=/tmp/x"},
	"nothing there": {"GODEBUG", "GO", "GOGC="},
}

// TestRuntimeVariables: the variables have no effect in a process that has more
// privileges than its caller.
func TestRuntimeVariables(t *testing.T) {
	program := install(t)
	plain := helpertest.Call{Prog: program, UID: alice, GID: alice, Dir: "/", Socket: helpertest.NoSocket, Args: []string{"-V"}}
	want := runWithin(t, plain)
	usual := waiting(t, program, nil)
	for name, env := range knobs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			call := plain
			call.Env = env
			if r := runWithin(t, call); r.Exit != 0 || r.Stdout != want.Stdout || r.Stderr != "" {
				t.Errorf("-V: exit %d, signal %d, %q, %.400q", r.Exit, r.Signal, r.Stdout, r.Stderr)
			}
			got := waiting(t, program, env)
			if got.written != "" || got.exit != 1 {
				t.Errorf("while it waited, %d bytes were written, %.400q; exit %d", len(got.written), got.written, got.exit)
			}
			if got.threads > usual.threads+moreThreads {
				t.Errorf("%d threads, and %d without", got.threads, usual.threads)
			}
			if got.memory > usual.memory+8<<10 {
				t.Errorf("%d kB of memory, and %d without", got.memory, usual.memory)
			}
		})
	}
}

// TestFullPipe has a full pipe as standard error that nothing reads, and the runtime
// write there before main.
func TestFullPipe(t *testing.T) {
	program := install(t)
	for _, name := range []string{"inittrace", "feature"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := runWithin(t, helpertest.Call{
				Prog: program, UID: alice, GID: alice, Dir: "/", Socket: helpertest.NoSocket, Args: []string{"-V"},
				Env: knobs[name], Stderr: fullPipe(t),
			})
			if r.Exit != 0 || r.Stdout == "" {
				t.Errorf("exit %d, signal %d, %v, %q", r.Exit, r.Signal, r.Err, r.Stdout)
			}
		})
	}
}

// TestEnvironmentShapes tries environments of every shape: the program finds what it
// looks for, and does not read beyond the end.
func TestEnvironmentShapes(t *testing.T) {
	program := install(t)
	many := func(n int, text string) (env []string) {
		for i := range n {
			env = append(env, fmt.Sprintf(text, i))
		}
		return env
	}
	for name, env := range map[string][]string{
		"none":            nil,
		"empty names":     {"", "=", "=GO=1", "==="},
		"parts of a name": {"G", "GO", "O", "G=O", "GODEBUG"},
		"many":            many(8000, "V%d=x"),
		"many of Go's":    many(8000, "GO%d=x"),
		"long":            {"LONG=" + strings.Repeat("GO", 60_000), "GO" + strings.Repeat("x", 120_000)},
		"last":            {"A=", "GODEBUG=cpu.nonsense=on"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for _, last := range []bool{false, true} { // where the wanted variable is
				list := append([]string{"_FUSE_COMMFD=3"}, env...)
				if last {
					list = append(env[:len(env):len(env)], "_FUSE_COMMFD=3")
				}
				r := runWithin(t, helpertest.Call{Prog: program, UID: alice, GID: alice, Dir: "/", Args: []string{w.m}, Env: list})
				if r.Exit != 0 || r.Dev == nil || r.Stderr != "" {
					t.Fatalf("exit %d, signal %d, %v, %q", r.Exit, r.Signal, r.Err, r.Stderr)
				}
				must(t, r.Dev.Close(), w.clear())
			}
		})
	}
	for _, argv := range [][]string{{}, {""}, {"", "-V"}} {
		r := runWithin(t, helpertest.Call{Prog: program, UID: alice, GID: alice, Dir: "/", Socket: helpertest.NoSocket, Argv: argv, Env: []string{"GODEBUG=cpu.nonsense=on"}})
		if lines := strings.Count(r.Stderr, "\n"); r.Exit != 0 && (r.Exit != 1 || lines < 1 || lines > 2) || strings.Contains(r.Stderr, "nonsense") {
			t.Errorf("arguments %q: exit %d, signal %d, %q", argv, r.Exit, r.Signal, r.Stderr)
		}
	}
}

func runWithin(t *testing.T, call helpertest.Call) helpertest.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), fusetest.Patience)
	defer cancel()
	return call.Run(ctx)
}

// startWithin starts a program that is killed at the test's end at the latest.
func startWithin(t *testing.T, call helpertest.Call) *helpertest.Proc {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), fusetest.Patience)
	t.Cleanup(cancel)
	p, err := call.Start(ctx)
	must(t, err)
	return p
}

// stay records what a helper did while it waited for its caller.
type stay struct {
	written         string // on standard error
	threads, memory int
	exit            int
}

// moreThreads is how far the number of threads of two runs may differ, since the runtime
// starts them at different times.
const moreThreads = 4

// watchTime is how long the test watches a helper that should do nothing. Its runtime
// writes every millisecond, if at all.
const watchTime = 100 * time.Millisecond

// waiting has a helper wait under sync-init, with its standard error on a file.
func waiting(t *testing.T, program string, env []string) (s stay) {
	t.Helper()
	w := newWorld(t)
	file, err := os.OpenFile(filepath.Join(w.base, "stderr"), os.O_RDWR|os.O_CREATE, 0o666)
	must(t, err)
	defer file.Close()
	p := syncInit(t, w, helpertest.Call{Prog: program, Env: env, Stderr: file})
	for deadline := time.Now().Add(watchTime); time.Now().Before(deadline) && s.written == ""; time.Sleep(time.Millisecond) {
		text, err := os.ReadFile(file.Name())
		must(t, err)
		s.written = string(text)
	}
	threads, err := threadsOf(p.Pid())
	must(t, err)
	s.threads = len(threads)
	s.memory = memoryOf(t, p.Pid())
	must(t, p.CloseSocket())
	s.exit = p.Wait().Exit
	return s
}

// syncInit starts a helper with --sync-init that has sent the device, and waits for the
// caller's byte.
func syncInit(t *testing.T, w *world, call helpertest.Call) *helpertest.Proc {
	t.Helper()
	call.UID, call.GID, call.Dir, call.Args = alice, alice, "/", []string{"--sync-init", w.m}
	p := startWithin(t, call)
	got, err := p.Receive(time.Now().Add(fusetest.Patience))
	if err != nil || got.Dev == nil {
		t.Fatalf("%v, %+v", err, p.Wait())
	}
	must(t, got.Dev.Close())
	return p
}

func memoryOf(t *testing.T, pid int) (kB int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	_, rest, _ := strings.Cut(string(text), "\nVmRSS:")
	_, err = fmt.Sscan(rest, &kB)
	must(t, err)
	return kB
}

// fullPipe is a full pipe that nothing reads.
func fullPipe(t *testing.T) *os.File {
	t.Helper()
	var fds [2]int
	must(t, os.NewSyscallError("pipe2", unix.Pipe2(fds[:], unix.O_CLOEXEC)))
	read, write := os.NewFile(uintptr(fds[0]), "pipe"), os.NewFile(uintptr(fds[1]), "pipe")
	t.Cleanup(func() { must(t, read.Close(), write.Close()) })
	must(t, unix.SetNonblock(fds[1], true))
	for {
		if _, err := unix.Write(fds[1], make([]byte, 4096)); err != nil {
			break
		}
	}
	must(t, unix.SetNonblock(fds[1], false))
	return write
}
