package service

import (
	"slices"
	"testing"
)

// Users take turns, one who may have no more is passed over, and nobody fills the queue alone.
func TestQueue(t *testing.T) {
	q := queue{limit: 3}
	for _, c := range []struct {
		uid  uint32
		fd   int
		want bool
	}{{1, 10, true}, {1, 11, true}, {1, 12, true}, {1, 13, false}, {2, 20, true}, {3, 30, true}, {2, 21, true}} {
		if got := q.push(c.uid, connection{fd: c.fd}); got != c.want {
			t.Errorf("push %d, %d: %v", c.uid, c.fd, got)
		}
	}
	var got []int
	pop := func(may func(uint32) bool) {
		if _, c, found := q.pop(may); found {
			got = append(got, c.fd)
		} else {
			got = append(got, -1)
		}
	}
	all := func(uint32) bool { return true }
	pop(all)
	pop(all)
	uid, c, _ := q.pop(all)
	q.putBack(uid, c)
	pop(all)
	pop(func(uid uint32) bool { return uid != 1 })
	pop(func(uid uint32) bool { return uid != 1 }) // none of 2 and 3 are left
	pop(all)
	uid, c, _ = q.pop(all)
	q.putBack(uid, c)
	pop(all)
	pop(all)
	if want := []int{10, 20, 30, 21, -1, 11, 12, -1}; !slices.Equal(got, want) || q.n != 0 || len(q.turns) != 0 {
		t.Errorf("%v, want %v; %+v", got, want, q)
	}
}
