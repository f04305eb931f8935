package races

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// figures are what the summary at the end tells.
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
			fmt.Printf("attacks: %d interleavings tried, %d with a change that the kernel allowed, %d of these hit the window; "+
				"%d reached a limit that SECURITY.md names; %d mutants lost\n",
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

// inWindow says whether the change came between the helper's first look and its
// act.
func (tr *trial) inWindow() bool { return tr.strike.step > 0 && tr.acted }

// known says whether what came out is a limit that SECURITY.md names: the change
// came after the helper's last look, and no system call could have seen it.
// Non-lazy, the act goes by the name; by the descriptor, it still takes along what
// was mounted on top or inside.
func (tr *trial) known() bool {
	if tr.strike.call == "" || !tr.acted {
		return false
	}
	looks := map[string]bool{"statmount": true, "listmount": true, "read": true}
	if tr.byName {
		looks = map[string]bool{"openat": true}
	}
	for _, call := range tr.steps[tr.strike.step:] {
		if looks[call] {
			return false
		}
	}
	return tr.byName && tr.mode.byName && tr.attack.byName || tr.attack.covers
}
