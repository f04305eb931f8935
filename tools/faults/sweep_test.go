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

// sweep tries the faults that are wanted at each spot of each mode.
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
			tell(m, done)
			if done.missed > strays {
				t.Errorf("%d calls were never made again", done.missed)
			}
		})
	}
}

// enough failures of one mode say what is wrong.
const enough = 10

// strays bounds the faults of one mode that never befell the helper. How often
// the Go runtime makes a call as it starts its threads is a matter of time, so
// the calls of a run may be one more than those of all later ones.
const strays = 8

// passes makes a run with a fault, and says whether it hit, and whether all is well
// afterwards.
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

// attempts bounds the runs in which a call is not made because the Go runtime has
// put one of the same name before it.
const attempts = 5

// spots are the calls of a mode when nothing fails, but for those that are the
// same in all modes.
func (w *world) spots(t *testing.T) []spot {
	t.Helper()
	r := w.do(spot{}, nil)
	if v := r.judge(); len(v.bad) > 0 {
		t.Fatalf("%s\n%s", r, strings.Join(v.bad, "\n"))
	}
	must(t, shut(&r.dev))
	switch {
	case w.mode.start:
		w.noteSteps(r.calls)
		return r.calls[:begin(r.calls)]
	case w.mode.whole:
		return r.calls
	}
	return slices.DeleteFunc(slices.Clone(r.calls), becoming(r.calls))
}

// begin is where the helper's own code begins: at the first call of that name after
// one by which the Go runtime starts. Before the runtime, the helper may make it, too.
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

// noteSteps notes the calls that come before the Go runtime starts.
func (w *world) noteSteps(calls []spot) {
	for _, s := range calls {
		if !slices.Contains(steps, s.name) {
			return
		}
		w.steps = append(w.steps, s)
	}
}

// becoming says which calls are those by which the helper becomes its caller,
// before it reads the command line: up to the last prctl before the filter.
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

// errnos are the errors, those together that the helper takes for the same almost
// everywhere: a call that is refused, or that has no room.
var errnos = [][]unix.Errno{{unix.EPERM, unix.ENOSYS}, {unix.ENOMEM, unix.EMFILE}, {unix.EINTR}}

// alike are calls whose errors the helper does not tell apart, all in package priv
// but the one for signals.
var alike = []string{
	"getpid", "gettid", "getresuid", "getresgid", "setresuid", "setresgid", "setfsuid", "setfsgid", "capget", "capset",
	"prlimit64", "umask", "rt_sigprocmask",
}

// loops are calls that are made over and over, with each signal and each
// capability.
var loops = []string{"rt_sigaction", "prctl"}

// TestFail has each system call of each mode fail, in a run of its own: the helper
// does without it, or says what failed and has done nothing. In whole modes it
// fails with each of the errors; in others, errors that are alike take turns from
// call to call.
func TestFail(t *testing.T) {
	sweep(t, func(m mode, i int, at spot) (faults []fault) {
		for _, errno := range errorsFor(m, i, at) {
			faults = append(faults, fault{name: unix.ErrnoName(errno), does: fusetest.Fail(errno), errno: errno})
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

// ending are the signals by which people and service managers end a program.
var ending = []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGTERM, unix.SIGALRM}

// TestSignal sends the helper a signal before each of its system calls: it ends, and
// everything is as it was before, or it goes on as if nothing had happened.
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

// TestKill has the helper killed before each of its system calls, which is after
// the one before it: what it leaves is at most a mount of its caller's that he can
// remove, whole tables, and files that are in nobody's way.
func TestKill(t *testing.T) {
	sweep(t, func(_ mode, _ int, at spot) []fault {
		if at.child {
			return []fault{
				{name: "SIGKILL", does: fusetest.Kill},
				{name: "SIGKILL of the parent", parent: true, kills: true},
			}
		}
		return []fault{{name: "SIGKILL", does: fusetest.Kill, kills: true}}
	})
}

// aftermath uses what a killed helper has left as its caller would.
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

// again calls the helper once more, and wants it to succeed without a word.
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
