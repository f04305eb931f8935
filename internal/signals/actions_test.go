package signals

import (
	"testing"

	"golang.org/x/sys/unix"
)

// wantHandlers compares what happens at the signals that end the process.
func wantHandlers(t *testing.T, when string, want map[unix.Signal]uintptr) {
	t.Helper()
	for _, sig := range ending {
		got, err := handlerOf(sig)
		if err != nil {
			t.Fatal(err)
		}
		if got != want[sig] {
			t.Errorf("%s: the handler of %v is %d, want %d", when, sig, got, want[sig])
		}
	}
}

// ownSignals restores the signals of the test's process at its end. Until then none is
// ignored, whatever a parent of the tests ignores (nohup: SIGHUP).
func ownSignals(t *testing.T) {
	t.Helper()
	for _, sig := range ending {
		var before sigaction
		if err := rtSigaction(sig, nil, &before); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := rtSigaction(sig, &before, nil); err != nil {
				t.Error(err)
			}
		})
		if before.handler == ignore {
			if err := setHandler(sig, byDefault); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Cleanup(func() { ours, held = nil, false })
}

func TestHold(t *testing.T) {
	ownSignals(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(setHandler(unix.SIGINT, ignore))
	must(Default())
	free := map[unix.Signal]uintptr{unix.SIGINT: ignore}
	wantHandlers(t, "Default", free)

	all := map[unix.Signal]uintptr{}
	for _, sig := range ending {
		all[sig] = ignore
	}
	for range 2 { // a second time changes nothing
		must(Hold())
		wantHandlers(t, "Hold", all)
	}
	must(unix.Kill(unix.Getpid(), unix.SIGHUP))
	must(Through(func() error {
		wantHandlers(t, "Through", free)
		return nil
	}))
	wantHandlers(t, "after Through", all)
	for range 2 {
		must(Release())
		wantHandlers(t, "Release", free)
	}
	must(Through(func() error { return nil }))
	if Held() {
		t.Error("held by Through")
	}
}
