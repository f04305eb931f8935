package keylock

import (
	"context"
	"errors"
	"sync"
	"testing"
)

func never() error { return nil }

func TestLock(t *testing.T) {
	var table Table[string]
	n := 0
	var all sync.WaitGroup
	for range 100 {
		all.Add(1)
		go func() {
			defer all.Done()

			unlock, err := table.Lock(t.Context(), "a", never)
			if err != nil {
				t.Error(err)
				return
			}
			n++ // the race detector sees a second holder
			unlock()
		}()
	}
	all.Wait()
	if n != 100 || len(table.locks) != 0 {
		t.Errorf("%d rounds, left %v", n, table.locks)
	}
}

func TestLockHeld(t *testing.T) {
	var table Table[string]
	unlock, err := table.Lock(t.Context(), "a", never)
	if err != nil {
		t.Fatal(err)
	}
	other, err := table.Lock(t.Context(), "b", never)
	if err != nil {
		t.Fatal(err)
	}
	other()
	reason, cause := errors.New("the reason"), errors.New("the cause")
	if _, err := table.Lock(t.Context(), "a", func() error { return reason }); !errors.Is(err, reason) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err = table.Lock(ctx, "a", func() error { cancel(cause); return nil })
	if !errors.Is(err, cause) {
		t.Error(err)
	}
	unlock()
	if _, err := table.Lock(ctx, "a", never); !errors.Is(err, cause) {
		t.Error("free, and the context has ended: ", err)
	}
	if len(table.locks) != 0 {
		t.Errorf("left %v", table.locks)
	}
}
