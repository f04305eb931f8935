// Package keylock has a mutex for each of many keys, whose wait ends with a context.
package keylock

import (
	"context"
	"sync"

	"github.com/go-fusermount/fusermount/internal/fuseerr"
)

// Table has the locks of keys that are held or waited for. The zero value is ready for
// use.
type Table[K comparable] struct {
	mu    sync.Mutex
	locks map[K]*lock
}

type lock struct {
	held  chan struct{} // has one element while the lock is held
	users int           // holders and waiters
}

// Lock waits for the lock of a key until the context ends. If another holds it, check is
// called first, and its error ends the wait before it begins.
func (t *Table[K]) Lock(ctx context.Context, key K, check func() error) (unlock func(), err error) {
	l := t.enter(key)
	if err := l.acquire(ctx, check); err != nil {
		t.leave(key, l)
		return nil, err
	}
	return func() {
		<-l.held
		t.leave(key, l)
	}, nil
}

func (l *lock) acquire(ctx context.Context, check func() error) error {
	if err := fuseerr.Context(ctx); err != nil {
		return err
	}
	select {
	case l.held <- struct{}{}:
		return nil
	default:
	}
	if err := check(); err != nil {
		return err
	}
	select {
	case l.held <- struct{}{}:
		if ctx.Err() != nil {
			<-l.held
		}
	case <-ctx.Done():
	}
	return fuseerr.Context(ctx)
}

func (t *Table[K]) enter(key K) *lock {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.locks == nil {
		t.locks = map[K]*lock{}
	}
	l := t.locks[key]
	if l == nil {
		l = &lock{held: make(chan struct{}, 1)}
		t.locks[key] = l
	}
	l.users++
	return l
}

func (t *Table[K]) leave(key K, l *lock) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(t.locks, key)
	}
}
