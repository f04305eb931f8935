package anywhere

import (
	"slices"
	"strings"
	"testing"
)

// sweep tries the faults that are wanted at each spot of each mode.
func sweep(t *testing.T, wanted func(m mode, i int, at spot) []fault) {
	program := install(t)
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
					if !w.passes(t, at, &f) {
						bad++
					}
					if bad == enough {
						t.Fatal("and so on")
					}
					if f.errno != 0 {
						done.failed++
					} else {
						done.killed++
					}
				}
			}
			tell(m, done)
		})
	}
}

// enough failures of one mode say what is wrong.
const enough = 10

// passes makes a run with a fault, and says whether all is well afterwards.
func (w *world) passes(t *testing.T, at spot, f *fault) bool {
	t.Helper()
	r := w.do(at, f)
	for n := 1; !r.hit && r.script == nil && n < attempts; n++ {
		must(t, shut(&r.dev))
		r = w.do(at, f)
	}
	v := r.judge()
	if !r.hit {
		v.complain("the call was not made in %d attempts", attempts)
	}
	must(t, shut(&r.dev))
	if f.kills && len(v.bad) == 0 {
		v.aftermath()
	}
	if len(v.bad) > 0 {
		t.Errorf("%s\n%s", r, strings.Join(v.bad, "\n"))
	}
	return len(v.bad) == 0
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
	begin := slices.Index(r.calls, spot{name: from, nth: 1})
	switch {
	case w.mode.start:
		return r.calls[:begin]
	case w.mode.whole:
		return r.calls
	}
	return slices.DeleteFunc(slices.Clone(r.calls), becoming(r.calls))
}

// becoming says which calls are those by which the helper becomes its caller,
// before it reads the command line: up to its last prctl.
func becoming(calls []spot) func(spot) bool {
	last := 0
	for i, c := range calls {
		if c.name == "prctl" && !c.child {
			last = i
		}
	}
	return func(s spot) bool { return slices.Index(calls, s) <= last }
}
