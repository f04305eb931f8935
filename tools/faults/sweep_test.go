package faults

import (
	"slices"
	"strings"
	"testing"

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
