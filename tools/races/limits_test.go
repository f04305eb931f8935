package races

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// A limit that takes effect while the helper runs is like a kill at that moment. It
// leaves at most a mount that the caller can unmount, and whole tables.

// burnt is what is left of its second of processor time when a process becomes the
// helper, which takes a few milliseconds.
var burnt = func() (left []time.Duration) {
	for i := range 8 {
		left = append(left, time.Duration(i)*700*time.Microsecond)
	}
	return left
}()

// TestProcessorLimit has RLIMIT_CPU end the helper: the caller's processor time before
// the exec counts.
func TestProcessorLimit(t *testing.T) {
	program := install(t)
	for _, left := range burnt {
		t.Run(left.String(), func(t *testing.T) {
			t.Parallel()
			w := worldWithUtab(t, program)
			p := startWithin(t, helpertest.Call{
				Prog: "/proc/self/exe", UID: alice, GID: alice, Dir: "/", Env: []string{childEnv + "=1", "GOMAXPROCS=1"},
				Args: []string{"burn", strconv.Itoa(int(left.Microseconds())), program, "-o", "x-a", w.m},
			})
			r := p.Wait()
			if r.Exit != 0 && r.Exit != 1 && r.Signal != unix.SIGKILL && r.Signal != unix.SIGXCPU {
				t.Errorf("exit %d, signal %d, %v, %q", r.Exit, r.Signal, r.Err, r.Stderr)
			}
			t.Logf("exit %d, signal %d", r.Exit, r.Signal)
			w.wantClean(t, r)
		})
	}
}

// burn uses most of its processor time, and becomes a program.
func burn(left string, argv []string) error {
	micro, err := strconv.Atoi(left)
	if err != nil {
		return err
	}
	const second = 1
	if err := unix.Setrlimit(unix.RLIMIT_CPU, &unix.Rlimit{Cur: second, Max: second}); err != nil {
		return err
	}
	for end := time.Second - time.Duration(micro)*time.Microsecond; ; {
		var used unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
			return err
		}
		if time.Duration(used.Utime.Nano()+used.Stime.Nano()) >= end {
			return unix.Exec(argv[0], argv, []string{"_FUSE_COMMFD=3"})
		}
	}
}

// TestLimitsLowered has the caller lower a limit of the running helper before each of
// its calls. They may, since it has their ids.
func TestLimitsLowered(t *testing.T) {
	program := install(t)
	mount, unmount := []string{"-o", "x-a"}, []string{"-u"}
	for _, c := range []struct {
		name  string
		args  []string
		limit int
	}{
		{"file size, mount", mount, unix.RLIMIT_FSIZE},
		{"file size, unmount", unmount, unix.RLIMIT_FSIZE},
		{"files, mount", mount, unix.RLIMIT_NOFILE},
		{"files, unmount", unmount, unix.RLIMIT_NOFILE},
		{"memory, mount", mount, unix.RLIMIT_AS},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := worldWithUtab(t, program)
			tried, refused := 0, 0
			for at := 0; ; at++ {
				hit, errno := w.lowered(t, c.args, c.limit, at)
				if !hit {
					break
				}
				if tried++; errno != nil {
					refused++
				}
			}
			t.Logf("before %d calls; %d times the kernel refused to", tried, refused)
			if tried == 0 || refused == tried {
				t.Error("no limit was lowered")
			}
		})
	}
}

// lowered makes one run with a limit of zero from the call at on.
func (w *world) lowered(t *testing.T, args []string, limit, at int) (hit bool, refused error) {
	t.Helper()
	if args[0] == "-u" {
		r := w.run(t, "-o", "x-a")
		if r.Exit != 0 || r.Dev == nil {
			t.Fatalf("exit %d, %q", r.Exit, r.Stderr)
		}
		must(t, r.Dev.Close())
	}
	ctx, cancel := context.WithTimeout(t.Context(), fusetest.Patience)
	defer cancel()
	r := helpertest.Call{
		Prog: w.program, UID: alice, GID: alice, Dir: "/", Args: append(slices.Clone(args), w.m),
		Env: []string{"GOMAXPROCS=1"}, InterceptFrom: "getresuid", InterceptNot: []string{"rt_sigaction", "prctl", "capget", "getpid", "gettid"},
		Intercept: func(s helpertest.Syscall) helpertest.Verdict {
			if s.Index == at {
				hit = true
				refused = w.here.Do(func() error { return unix.Prlimit(s.PID, limit, &unix.Rlimit{}, nil) })
			}
			return helpertest.Continue
		},
	}.Run(ctx)
	must(t, r.Err)
	if r.Signal != 0 && r.Signal != unix.SIGXFSZ && r.Signal != unix.SIGSEGV {
		t.Errorf("before call %d: signal %d, %q", at, r.Signal, r.Stderr)
	}
	w.wantClean(t, r)
	return hit, refused
}

// run runs the helper for alice.
func (w *world) run(t *testing.T, args ...string) helpertest.Result {
	t.Helper()
	return runWithin(t, helpertest.Call{Prog: w.program, UID: alice, GID: alice, Dir: "/", Args: append(args, w.m)})
}

// wantClean wants alice to be able to unmount what a run has left, and a whole table.
func (w *world) wantClean(t *testing.T, r helpertest.Result) {
	t.Helper()
	if r.Dev != nil {
		must(t, r.Dev.Close())
	}
	const utab = "/run/mount/utab"
	text, err := os.ReadFile(utab)
	must(t, err)
	for line := range strings.Lines(string(text)) {
		if !strings.HasSuffix(line, "\n") || !strings.Contains(line, " TARGET="+w.m+" ") {
			t.Errorf("%s is torn: %q", utab, text)
		}
	}
	if _, mounted := fusetest.FindMount(t, w.m); mounted {
		if r := w.run(t, "-u"); r.Exit != 0 {
			t.Errorf("-u afterwards: exit %d, %q", r.Exit, r.Stderr)
		}
	}
	if stack := fusetest.MountsAt(t, w.m); len(stack) > 0 {
		t.Errorf("mounted: %+v", stack)
	}
	// A temporary file and the lock of a killed helper do no harm.
	if again := w.run(t, "-o", "x-a"); again.Exit != 0 || again.Stderr != "" || again.Dev == nil {
		t.Errorf("once more: exit %d, %q", again.Exit, again.Stderr)
	} else {
		must(t, again.Dev.Close())
	}
	if again := w.run(t, "-u"); again.Exit != 0 || again.Stderr != "" {
		t.Errorf("-u once more: exit %d, %q", again.Exit, again.Stderr)
	}
	must(t, errors.Join(w.clear(), os.WriteFile(utab, nil, 0o644)))
}
