//go:build linux

package cancelable

import (
	"context"
	"errors"
	"testing"
)

func TestRun(t *testing.T) {
	want := errors.New("the error")
	for name, ctx := range map[string]context.Context{"never ends": context.Background(), "may end": t.Context()} {
		n, err := Run(ctx, func() (int, error) { return 7, want }, nil)
		if n != 7 || !errors.Is(err, want) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
}

// A call that outlasts its context is given to late.
func TestRunLate(t *testing.T) {
	cause := errors.New("the cause")
	ctx, cancel := context.WithCancelCause(t.Context())
	release, late := make(chan struct{}), make(chan int, 1)
	n, err := Run(ctx, func() (int, error) {
		cancel(cause)
		<-release
		return 7, nil
	}, func(n int, _ error) { late <- n })
	if n != 0 || !errors.Is(err, cause) || !errors.Is(err, context.Canceled) {
		t.Errorf("%d, %v", n, err)
	}
	close(release)
	if n := <-late; n != 7 {
		t.Errorf("late: %d", n)
	}
	if _, err := Run(ctx, func() (int, error) { t.Error("called"); return 0, nil }, nil); !errors.Is(err, cause) {
		t.Error(err)
	}
}

func TestLookupCached(t *testing.T) {
	if LookupCached("a\x00b") {
		t.Error("a path with a NUL is cached")
	}
	dir := t.TempDir() // just made, so cached where the kernel can tell
	n, err := Lookup(t.Context(), dir, func() (int, error) { return 7, nil })
	if n != 7 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}
