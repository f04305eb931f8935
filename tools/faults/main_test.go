package faults

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// figures count what was tried in each mode, for the summary at the end.
var figures = struct {
	sync.Mutex
	modes map[string]*figure
}{modes: map[string]*figure{}}

type figure struct{ calls, failed, signals, killed, missed int }

// count counts a fault.
func (f *figure) count(is fault, hit bool) {
	switch {
	case !hit:
		f.missed++
	case is.errno != 0:
		f.failed++
	case is.signal != 0:
		f.signals++
	default:
		f.killed++
	}
}

func (f *figure) add(more figure) {
	f.failed += more.failed
	f.signals += more.signals
	f.killed += more.killed
	f.missed += more.missed
}

func (f *figure) String() string {
	return fmt.Sprintf("%4d calls, %4d failures, %4d signals, %4d kills, %d not made again",
		f.calls, f.failed, f.signals, f.killed, f.missed)
}

func TestMain(m *testing.M) {
	os.Exit(fusetest.Run(func() int {
		code := m.Run()
		var sum figure
		for _, m := range modes {
			if f, ok := figures.modes[m.name]; ok {
				fmt.Printf("faults: %s: %s\n", f, m.name)
				sum.calls += f.calls
				sum.add(*f)
			}
		}
		if sum.calls > 0 {
			fmt.Printf("faults: %s, in all\n", &sum)
		}
		return code
	}))
}

// record adds to the figures of a mode.
func record(m mode, add figure) {
	figures.Lock()
	defer figures.Unlock()
	f, ok := figures.modes[m.name]
	if !ok {
		f = &figure{}
		figures.modes[m.name] = f
	}
	f.calls = max(f.calls, add.calls)
	f.add(add)
}
