package races

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// explore tries an attack at every place of a mode: before each call that could
// notice it, to stay or to be taken back before each later one. That is every
// interleaving with one exchange and its reverse, and none is left to luck.
func explore(t *testing.T, program string, m mode, a attack) {
	t.Helper()
	w := enter(t, program, a)
	quiet := trial{mode: m, attack: a, at: never, backAt: never}
	w = quiet.do(t, w)
	if failed := quiet.result.Exit != 0; failed != m.fails || quiet.act == "" {
		t.Fatalf("left alone, the helper does not do its work: %s", &quiet)
	}
	for at := range quiet.steps {
		stays := trial{mode: m, attack: a, at: at, backAt: never}
		w = stays.do(t, w)
		if a.back == nil {
			continue
		}
		for backAt := at + 1; ; backAt++ {
			returns := trial{mode: m, attack: a, at: at, backAt: backAt}
			w = returns.do(t, w)
			if returns.back.call == "" { // the run was over before
				break
			}
		}
	}
}

// enter makes a world that is ready for the attack.
func enter(t *testing.T, program string, a attack) *world {
	t.Helper()
	w := newWorld(t)
	w.program = program
	if a.setUp != nil {
		must(t, a.setUp(w))
	}
	return w
}

// do makes a trial and judges it. It returns a world that is as good as new.
func (tr *trial) do(t *testing.T, w *world) *world {
	t.Helper()
	strangers, held := len(w.strangers), len(w.held)
	if tr.mode.mount {
		for range 1 + tr.attack.stack {
			must(t, w.fuse(w.m, alice))
		}
		if tr.mode.dead {
			must(t, w.release(held))
		}
	}
	before, err := w.table()
	must(t, err)
	tr.run(w)
	bad, err := tr.violations(w, before)
	must(t, tr.broken, err)
	if len(bad) > 0 && !tr.known() {
		t.Fatalf("%s\n%s", tr, strings.Join(bad, "\n"))
	}
	tr.count(len(bad) > 0)
	if len(bad) > 0 {
		return enter(t, w.program, tr.attack)
	}
	if tr.attack.names && tr.strike.call != "" && tr.back.call == "" {
		must(t, tr.attack.back(w))
	}
	w.strangers = w.strangers[:strangers]
	must(t, w.clear(), w.release(held))
	return w
}

// String tells what was tried.
func (tr *trial) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s", tr.mode.name, tr.attack.name)
	if tr.strike.call != "" {
		fmt.Fprintf(&b, ": before step %d (%s)", tr.strike.step, tr.strike.call)
	}
	if tr.back.call != "" {
		fmt.Fprintf(&b, ", back before step %d (%s)", tr.back.step, tr.back.call)
	}
	fmt.Fprintf(&b, "\nexit %d, %q\n%s", tr.result.Exit, tr.result.Stderr, strings.Join(tr.steps, " "))
	return b.String()
}

// clear takes away what lies at the mountpoint and on the lures, but for the
// strangers' mounts.
func (w *world) clear() error {
	for {
		mounts, err := w.table()
		if err != nil {
			return err
		}
		for _, l := range w.strangers {
			delete(mounts, l.ID)
		}
		path := ""
		for _, l := range mounts {
			if strings.HasPrefix(l.Mountpoint, w.base+"/") {
				path = l.Mountpoint
			}
		}
		if path == "" {
			return nil
		}
		if err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return &os.PathError{Op: "umount", Path: path, Err: err}
		}
	}
}

// release closes the devices that were opened since there were n.
func (w *world) release(n int) error {
	var errs []error
	for _, f := range w.held[n:] {
		errs = append(errs, f.Close())
	}
	w.held = w.held[:n]
	return errors.Join(errs...)
}
