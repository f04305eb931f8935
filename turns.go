package fusermount

import (
	"context"
	"errors"
	"sync"

	"github.com/go-fusermount/fusermount/internal/mtab"
)

// turns has the unmounts of one mount in this process follow each other, whoever
// asks for them. What is known by its id is unmounted by its path: of two at once
// the second would take away what lies beneath, if the first came between its
// look at the id and its system call.
var turns = turnTaking{of: map[turnOf]*turn{}}

type turnTaking struct {
	mu sync.Mutex
	of map[turnOf]*turn
}

// turnOf is a mount: its id, or where it lies in a namespace that is not ours.
type turnOf struct {
	id     uint64
	unique bool
	path   string
}

type turn struct {
	taken chan struct{} // holds one while somebody has the turn
	users int           // who has it or wants it
}

// take waits until nobody else in this process unmounts a mount, or the context
// has ended.
func (t *turnTaking) take(ctx context.Context, e mtab.Entry) (release func(), err error) {
	key := turnOf{id: e.ID, unique: e.Unique}
	if e.ID == 0 {
		key.path = e.Mountpoint
	}
	one := t.enter(key)
	if err := one.take(ctx, e); err != nil {
		t.leave(key, one)
		return nil, err
	}
	return func() {
		<-one.taken
		t.leave(key, one)
	}, nil
}

// take does not wait for what the kernel still has to do about a mount that is
// gone from the table: then the answer is that of whoever comes later.
func (one *turn) take(ctx context.Context, e mtab.Entry) error {
	if err := whyEnded(ctx); err != nil {
		return err
	}
	select {
	case one.taken <- struct{}{}:
		return nil
	default:
	}
	if e.ID != 0 && isGone(e) {
		return ErrNotMounted
	}
	select {
	case one.taken <- struct{}{}:
		if ctx.Err() != nil {
			<-one.taken
		}
	case <-ctx.Done():
	}
	return whyEnded(ctx)
}

func (t *turnTaking) enter(key turnOf) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.of[key]
	if one == nil {
		one = &turn{taken: make(chan struct{}, 1)}
		t.of[key] = one
	}
	one.users++
	return one
}

func (t *turnTaking) leave(key turnOf, one *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if one.users--; one.users == 0 {
		delete(t.of, key)
	}
}

// isGone says that a mount is known not to be in the table any more.
func isGone(e mtab.Entry) bool {
	_, err := mtab.Reload(e)
	return errors.Is(err, mtab.ErrNotListed)
}
