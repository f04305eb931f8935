package races

import (
	"testing"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// install gives the setuid helper under test.
func install(t *testing.T) string {
	t.Helper()
	fusetest.NeedIntercept(t)
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
					if c.takes(l) && (c.name == "last" || !m.onlyLast) {
						try(t, program, m, swap(l, c, true))
					}
				}
			}
		})
	}
}

// TestNamesHere does so in the helper's own namespace, where a mountpoint cannot
// be renamed: there the name that -u goes by is safe.
func TestNamesHere(t *testing.T) {
	program := install(t)
	for _, m := range modes {
		if m.mount && !m.dead {
			t.Run(m.name, func(t *testing.T) {
				for _, l := range lures {
					try(t, program, m, swap(l, components[0], false))
				}
			})
		}
	}
}

// TestTable changes the mount table at every moment: what alice does with a
// second run of the helper, and what root does.
func TestTable(t *testing.T) {
	program := install(t)
	for _, m := range modes {
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
