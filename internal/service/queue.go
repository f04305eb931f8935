//go:build linux

package service

import (
	"slices"

	"github.com/go-fusermount/fusermount/internal/wire"
)

// queue has the clients that wait, each user's in the order in which they came. The users take turns,
// so that one who asks for a thousand mounts does not keep another waiting.
type queue struct {
	limit int // of one user
	n     int
	turns []*line
}

// line is one user's clients.
type line struct {
	uid     uint32
	waiting []connection
}

// connection is one client's. They know the nonce already.
type connection struct {
	fd    int
	nonce wire.Nonce
}

// push takes over a connection; false says that the user has too many.
func (q *queue) push(uid uint32, c connection) bool {
	i := slices.IndexFunc(q.turns, func(l *line) bool { return l.uid == uid })
	if i < 0 {
		i = len(q.turns)
		q.turns = append(q.turns, &line{uid: uid})
	}
	l := q.turns[i]
	if len(l.waiting) >= q.limit {
		return false
	}
	l.waiting = append(l.waiting, c)
	q.n++
	return true
}

// pop gives the next client of a user who may have one more, whose turn comes last then.
func (q *queue) pop(may func(uid uint32) bool) (uid uint32, c connection, found bool) {
	i := slices.IndexFunc(q.turns, func(l *line) bool { return may(l.uid) })
	if i < 0 {
		return 0, c, false
	}
	l := q.turns[i]
	c, l.waiting = l.waiting[0], l.waiting[1:]
	q.n--
	q.turns = slices.Delete(q.turns, i, i+1)
	if len(l.waiting) > 0 {
		q.turns = append(q.turns, l)
	}
	return l.uid, c, true
}

// putBack undoes a pop.
func (q *queue) putBack(uid uint32, c connection) {
	q.n++
	i := slices.IndexFunc(q.turns, func(l *line) bool { return l.uid == uid })
	if i < 0 {
		q.turns = slices.Insert(q.turns, 0, &line{uid: uid, waiting: []connection{c}})
		return
	}
	l := q.turns[i]
	l.waiting = slices.Insert(l.waiting, 0, c)
	q.turns = slices.Insert(slices.Delete(q.turns, i, i+1), 0, l)
}
