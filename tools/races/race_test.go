package races

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// install returns the set-uid helper under test.
func install(t *testing.T) string {
	t.Helper()
	helpertest.NeedIntercept(t)
	return helpertest.Install(t)
}

// TestNames exchanges each component of the path for each lure, in every mode,
// at every moment: CVE-2009-3297, CVE-2010-0789, CVE-2010-3879,
// CVE-2011-0541 to 0543, CVE-2026-27456, and those of libfuse in the undo, in
// sync-init and in auto_unmount.
func TestNames(t *testing.T) {
	program := install(t)
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			for _, l := range lures {
				for _, c := range components {
					if c.takes(l) && (c.name == "last" || !m.onlyLast) && (!m.service || components[2].takes(l)) {
						try(t, program, m, swap(l, c, true))
					}
				}
			}
		})
	}
}

// TestNamesHere does so in the helper's own namespace, where a mountpoint cannot be
// renamed, so that an unmount by name is safe.
func TestNamesHere(t *testing.T) {
	program := install(t)
	for _, m := range modes {
		if m.mount && !m.dead {
			t.Run(m.name, func(t *testing.T) {
				for _, l := range lures {
					if !m.service || components[2].takes(l) {
						try(t, program, m, swap(l, components[0], false))
					}
				}
			})
		}
	}
}

// TestTable changes the mount table at every moment, as alice can by a second run of the
// helper, and as root can.
func TestTable(t *testing.T) {
	program := install(t)
	for _, m := range modes {
		if m.service && m.fails {
			continue // each waits for seconds, as in the helper's own mode
		}
		t.Run(m.name, func(t *testing.T) {
			for _, a := range changes {
				if a.stack == 0 || m.mount {
					try(t, program, m, a)
				}
			}
		})
	}
}

func try(t *testing.T, program string, m mode, a attack) {
	t.Run(a.name, func(t *testing.T) {
		t.Parallel()
		explore(t, program, m, a)
	})
}

// figures are for the summary at the end.
var figures struct {
	tried, struck, hit, known atomic.Int64
	mutants                   atomic.Int64
}

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(tracerEnv) != "":
		os.Exit(tracerMain())
	case os.Getenv(childEnv) != "":
		os.Exit(childMain(os.Args[1:]))
	}
	os.Exit(fusetest.Run(func() int {
		code := m.Run()
		if f := &figures; f.tried.Load()+f.mutants.Load() > 0 {
			fmt.Printf("races: %d interleavings tried, %d with a change that the kernel allowed, %d of these hit the window; "+
				"%d reached a limit that SECURITY.md describes; %d mutants lost\n",
				f.tried.Load(), f.struck.Load(), f.hit.Load(), f.known.Load(), f.mutants.Load())
		}
		return code
	}))
}

func (tr *trial) count(known bool) {
	for _, c := range []struct {
		what *atomic.Int64
		yes  bool
	}{
		{&figures.tried, tr.at != never},
		{&figures.struck, tr.strike.call != ""},
		{&figures.hit, tr.inWindow()},
		{&figures.known, known},
	} {
		if c.yes {
			c.what.Add(1)
		}
	}
}

// inWindow reports whether the change came between the helper's first check and its act.
func (tr *trial) inWindow() bool { return tr.strike.step > 0 && tr.acted }

// known reports whether the result is a limit that SECURITY.md describes: the change came
// after the helper's last check, and no system call could have noticed it. A non-lazy
// unmount is by name; one by descriptor also unmounts what was mounted on top or inside.
func (tr *trial) known() bool {
	if tr.strike.call == "" || !tr.acted {
		return false
	}
	looks := map[string]bool{"statmount": true, "listmount": true, "read": true}
	if tr.byName {
		looks = map[string]bool{"openat": true}
	}
	for _, call := range tr.steps[tr.strike.step:] {
		if call == "umount2" { // what is looked at afterwards comes too late
			break
		}
		if looks[call] {
			return false
		}
	}
	return tr.byName && tr.mode.byName && tr.attack.byName || tr.attack.covers
}
