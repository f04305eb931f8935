package faults

import (
	"context"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// sweep tries the wanted faults at each spot of each mode.
func sweep(t *testing.T, wanted func(m mode, i int, at spot) []fault) {
	program := helpertest.Install(t)
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			if m.silent {
				needSilence(t)
			}
			w := newWorld(t, program, m)
			spots := w.spots(t)
			done, bad := figure{calls: len(spots)}, 0
			for i, at := range spots {
				for _, f := range wanted(m, i, at) {
					hit, well := w.passes(t, at, &f)
					if !well {
						bad++
					}
					if bad == enough {
						t.Fatal("and so on")
					}
					done.count(f, hit)
				}
			}
			record(m, done)
			if done.missed > strays {
				t.Errorf("%d calls were never made again", done.missed)
			}
		})
	}
}

// enough is how many failures of one mode are printed.
const enough = 10

// strays bounds the faults of one mode that never happened. How often the Go runtime
// makes a call at the start of its threads is a matter of timing, so one run may make
// more calls than all later ones.
const strays = 8

// passes makes a run with a fault. It reports whether the fault happened, and whether
// everything is correct afterwards.
func (w *world) passes(t *testing.T, at spot, f *fault) (hit, well bool) {
	t.Helper()
	r := w.do(at, f)
	for n := 1; !r.hit && r.script == nil && n < attempts; n++ {
		must(t, shut(&r.dev))
		r = w.do(at, f)
	}
	v := r.judge()
	must(t, shut(&r.dev))
	if (r.hit && f.kills || r.signalled()) && len(v.bad) == 0 {
		v.aftermath()
	}
	if len(v.bad) > 0 {
		t.Errorf("%s\n%s", r, strings.Join(v.bad, "\n"))
	}
	return r.hit, len(v.bad) == 0
}

// attempts bounds the runs that miss a call because the Go runtime made one of the same
// name before it.
const attempts = 5

// spots returns the calls of a mode when nothing fails, without those that are the same
// in all modes.
func (w *world) spots(t *testing.T) []spot {
	t.Helper()
	calls := w.calls(t)
	switch {
	case w.mode.start:
		w.noteSteps(calls)
		return calls[:begin(calls)]
	case w.mode.whole:
		return calls
	}
	return slices.DeleteFunc(slices.Clone(calls), becoming(calls))
}

// samples is how many runs the calls are taken from. A run makes more calls than others
// where its threads start at a bad moment or its wait is woken often.
const samples = 3

// calls returns the calls of the shortest of some runs in which nothing fails.
func (w *world) calls(t *testing.T) (shortest []spot) {
	t.Helper()
	for range samples {
		r := w.do(spot{}, nil)
		if v := r.judge(); len(v.bad) > 0 {
			t.Fatalf("%s\n%s", r, strings.Join(v.bad, "\n"))
		}
		must(t, shut(&r.dev))
		if shortest == nil || len(r.calls) < len(shortest) {
			shortest = r.calls
		}
	}
	return shortest
}

// begin returns where the helper's Go code begins: at the first call of that name after
// the start of the Go runtime. The helper may make it before the runtime, too.
func begin(calls []spot) int {
	const runtime = "sched_getaffinity"
	started := slices.IndexFunc(calls, func(s spot) bool { return s.name == runtime })
	return started + slices.IndexFunc(calls[started:], func(s spot) bool { return s.name == from })
}

// steps are the calls by which a process becomes its caller.
var steps = []string{
	"getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "setresuid", "setresgid", "capget", "capset", "prctl",
	"prlimit64", "rt_sigaction",
}

// noteSteps records the calls before the start of the Go runtime.
func (w *world) noteSteps(calls []spot) {
	for _, s := range calls {
		if !slices.Contains(steps, s.name) {
			return
		}
		w.steps = append(w.steps, s)
	}
}

// becoming selects the calls by which the helper becomes its caller, before it reads
// the command line: up to the last prctl before the filter.
func becoming(calls []spot) func(spot) bool {
	last := 0
	for i, c := range calls {
		if c.name == "seccomp" {
			break
		}
		if c.name == "prctl" && !c.child {
			last = i
		}
	}
	return func(s spot) bool { return slices.Index(calls, s) <= last }
}

// errnos groups the errors that the helper treats alike almost everywhere: a refusal, a
// lack of memory or descriptors, an interruption.
var errnos = [][]unix.Errno{{unix.EPERM, unix.ENOSYS}, {unix.ENOMEM, unix.EMFILE}, {unix.EINTR}}

// alike are calls whose errors the helper treats alike. All but the one for signals are
// in package priv.
var alike = []string{
	"getpid", "gettid", "getresuid", "getresgid", "setresuid", "setresgid", "setfsuid", "setfsgid", "capget", "capset",
	"prlimit64", "umask", "rt_sigprocmask",
}

// loops are calls that are made for each signal and each capability.
var loops = []string{"rt_sigaction", "prctl"}

// TestFail has each system call of each mode fail in a run of its own. The helper does
// without it, or reports the failure and has done nothing. Whole modes try every error;
// the others take one of each group in turn.
func TestFail(t *testing.T) {
	sweep(t, func(m mode, i int, at spot) (faults []fault) {
		for _, errno := range errorsFor(m, i, at) {
			faults = append(faults, fault{name: unix.ErrnoName(errno), does: helpertest.Fail(errno), errno: errno})
		}
		return faults
	})
}

func errorsFor(m mode, i int, at spot) (list []unix.Errno) {
	all := slices.Concat(errnos...)
	switch {
	case at.name == "exit_group": // it does not return
		return nil
	case slices.Contains(loops, at.name), slices.Contains(alike, at.name) && !m.whole:
		return []unix.Errno{all[i%len(all)]}
	case m.whole:
		return all
	}
	for _, group := range errnos {
		list = append(list, group[i%len(group)])
	}
	return list
}

// ending are the signals that end a program.
var ending = []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGTERM, unix.SIGALRM}

// TestSignal sends the helper a signal before each of its system calls. Either it ends
// and everything is as before, or it goes on as if nothing had happened.
func TestSignal(t *testing.T) {
	sweep(t, func(_ mode, i int, at spot) []fault {
		sig := ending[i%len(ending)]
		faults := []fault{{name: sig.String(), signal: sig}}
		if at.child {
			faults = append(faults, fault{name: sig.String() + " to the parent", signal: sig, parent: true})
		}
		return faults
	})
}

// TestKill kills the helper before each of its system calls, so after each one, too. It
// leaves at most a mount that the caller can unmount, whole tables, and files that are
// in nobody's way.
func TestKill(t *testing.T) {
	sweep(t, func(_ mode, _ int, at spot) []fault {
		if at.child {
			return []fault{
				{name: "SIGKILL", does: helpertest.Kill},
				{name: "SIGKILL of the parent", parent: true, kills: true},
			}
		}
		return []fault{{name: "SIGKILL", does: helpertest.Kill, kills: true}}
	})
}

// aftermath calls the helper after one that was killed, as its caller would.
func (v *verdict) aftermath() {
	left, err := v.world.strays(false)
	if err != nil {
		v.complain("%v", err)
	}
	if v.mounted {
		v.again("-u")
	}
	if len(left) == 0 {
		return
	}
	v.again("-o", "x-a")
	if left, err := v.world.strays(false); err != nil || len(left) > 0 {
		v.complain("left behind by the next one: %q, %v", left, err)
	}
	for _, t := range v.world.mode.tables() {
		if lines, err := t.read(v.world.m); err != nil || lines == 0 {
			v.complain("%d lines in %s after the next one: %v", lines, t.path, err)
		}
	}
	v.again("-u")
}

// again calls the helper, which must succeed without any output.
func (v *verdict) again(args ...string) {
	ctx, cancel := context.WithTimeout(context.Background(), fusetest.Patience)
	defer cancel()
	result := v.world.call(args...).Run(ctx)
	_, mounted, err := fusetest.TopMount(v.world.m)
	if result.Err != nil || result.Exit != 0 || result.Stderr != "" || err != nil || mounted == (args[0] == "-u") {
		v.complain("%q afterwards: exit %d, %q, mounted %v, %v, %v", args, result.Exit, result.Stderr, mounted, err, result.Err)
	}
	if err := shut(&result.Dev); err != nil {
		v.complain("%v", err)
	}
}
