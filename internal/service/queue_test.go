package service

import (
	"slices"
	"testing"
)

// Accounts take turns, one that may have no more is passed over, and none fills the queue alone.
func TestQueue(t *testing.T) {
	q := queue{limit: 3}
	for _, c := range []struct {
		uid  uint32
		fd   int
		want bool
	}{{1, 10, true}, {1, 11, true}, {1, 12, true}, {1, 13, false}, {2, 20, true}, {3, 30, true}, {2, 21, true}} {
		if got := q.push(account{uid: c.uid}, connection{fd: c.fd}); got != c.want {
			t.Errorf("push %d, %d: %v", c.uid, c.fd, got)
		}
	}
	var got []int
	pop := func(may func(account) bool) {
		if _, c, found := q.pop(may); found {
			got = append(got, c.fd)
		} else {
			got = append(got, -1)
		}
	}
	all := func(account) bool { return true }
	pop(all)
	pop(all)
	a, c, _ := q.pop(all)
	q.putBack(a, c)
	pop(all)
	pop(func(a account) bool { return a.uid != 1 })
	pop(func(a account) bool { return a.uid != 1 }) // none of 2 and 3 are left
	pop(all)
	a, c, _ = q.pop(all)
	q.putBack(a, c)
	pop(all)
	pop(all)
	if want := []int{10, 20, 30, 21, -1, 11, 12, -1}; !slices.Equal(got, want) || q.n != 0 || len(q.turns) != 0 {
		t.Errorf("%v, want %v; %+v", got, want, q)
	}
}

// The clients of a socket that is closed leave the queue, and no others.
func TestQueueDrop(t *testing.T) {
	q := queue{limit: 9}
	gone := &Socket{}
	for fd, a := range []account{{uid: 1}, {socket: gone}, {uid: 2}, {socket: gone}, {uid: 1}} {
		q.push(a, connection{fd: fd})
	}
	dropped := q.drop(func(a account) bool { return a.socket == gone })
	if len(dropped) != 2 || dropped[0].fd != 1 || dropped[1].fd != 3 || q.n != 3 {
		t.Errorf("dropped %+v, %d left", dropped, q.n)
	}
}
