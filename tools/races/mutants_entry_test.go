package races

import (
	"path/filepath"
	"testing"
)

// entryMutants are about what happens before the Go runtime starts, and after each
// change of ids.
var entryMutants = []struct {
	mutant
	plain bool // built by 'go build' alone, which leaves the entry point out
}{
	{mutant: mutant{
		"the entry point, and the refusal to work without it",
		[]edit{
			{"internal/priv/become.go", `if setid && s.RUID != 0 && (!s.real() || s.Permitted != 0) {`, `if false {`},
			{"internal/priv/become.go", `case !s.real():`, `case false:`},
		},
		"races", "^TestThreads$/^mount$", "made with root's ids",
	}, plain: true},
	{mutant: mutant{
		"a variable that is let through",
		[]edit{{"internal/entry/asm.go", `letterO    = 'O'`, `letterO    = '#'`}},
		"races", "^TestRuntimeVariables$/^inittrace$", "bytes were written",
	}},
	{mutant: mutant{
		"the dumpable flag after the ids of file access",
		[]edit{{"internal/priv/priv.go", `return errors.Join(err, notDumpable.set())`, `return err`}},
		"races", "^TestThreads$/^mount$", "nothing has made it not dumpable",
	}},
	{mutant: mutant{
		"the rights of a watcher's other threads",
		[]edit{{"internal/priv/become.go", `case permitted&^left != 0:`, `case permitted == left+1:`}},
		"races", "^TestThreads$/^auto_unmount$", "CapPrm",
	}},
}

func TestEntryMutants(t *testing.T) {
	install(t) // the same needs
	for _, m := range entryMutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			overlay := m.overlay(t)
			program := filepath.Join(t.TempDir(), "fusermount3")
			if m.plain {
				goTool(t, module, "build", "-overlay", overlay, "-buildvcs=false", "-o", program, "./cmd/fusermount")
			} else {
				makeHelper(t, overlay, program)
			}
			m.loses(t, ".", "/proc/self/exe", "-test.run", m.run, "-test.failfast", "FUSERMOUNT_HELPER="+program)
		})
	}
}
