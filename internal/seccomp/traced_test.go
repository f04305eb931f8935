package seccomp

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestTraced compares the lists with what the helper did under a tracer that
// refused the filter: lines of tasks, a call's number and its name. Where no
// filter can be tried, on a machine that is only emulated, an incomplete list
// shows here.
func TestTraced(t *testing.T) {
	file := os.Getenv("FUSERMOUNT_CALLS")
	if file == "" {
		t.Skip("compares with a trace: run 'make test-arch'")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for line := range strings.Lines(string(text)) {
		var tasks Task
		var nr uint32
		var name string
		if n, err := fmt.Sscan(line, &tasks, &nr, &name); n < 2 {
			t.Fatalf("%q: %v", line, err)
		}
		lines++
		if f := filterFor(tasks, someUID, someUID); !f.mentions(nr) {
			t.Errorf("tasks %#x make the call %d %s, which is not allowed", uint(tasks), nr, name)
		}
	}
	if lines == 0 {
		t.Error("nothing was traced")
	}
}

// mentions says whether a call is allowed, at least with some arguments.
func (f *filter) mentions(nr uint32) bool {
	return f.free[nr/wordBits]&(1<<(nr%wordBits)) != 0 ||
		slices.ContainsFunc(f.when[:f.rules], func(r rule) bool { return r.nr == nr })
}
