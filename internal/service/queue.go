//go:build linux

package service

import (
	"slices"

	"github.com/go-fusermount/fusermount/internal/wire"
)

// queue has the clients that wait, each account's in the order in which they came. The accounts take
// turns, so that a user who asks for a thousand mounts does not keep another waiting.
type queue struct {
	limit int // of one account
	n     int
	turns []*line
}

// line is one account's clients.
type line struct {
	account account
	waiting []connection
}

// connection is one client's. They know the nonce already.
type connection struct {
	fd    int
	nonce wire.Nonce
}

// push takes over a connection; false says that the account has too many.
func (q *queue) push(a account, c connection) bool {
	i := slices.IndexFunc(q.turns, func(l *line) bool { return l.account == a })
	if i < 0 {
		i = len(q.turns)
		q.turns = append(q.turns, &line{account: a})
	}
	l := q.turns[i]
	if len(l.waiting) >= q.limit {
		return false
	}
	l.waiting = append(l.waiting, c)
	q.n++
	return true
}

// pop gives the next client of an account that may have one more, whose turn comes last then.
func (q *queue) pop(may func(a account) bool) (a account, c connection, found bool) {
	i := slices.IndexFunc(q.turns, func(l *line) bool { return may(l.account) })
	if i < 0 {
		return a, c, false
	}
	l := q.turns[i]
	c, l.waiting = l.waiting[0], l.waiting[1:]
	q.n--
	q.turns = slices.Delete(q.turns, i, i+1)
	if len(l.waiting) > 0 {
		q.turns = append(q.turns, l)
	}
	return l.account, c, true
}

// putBack undoes a pop.
func (q *queue) putBack(a account, c connection) {
	q.n++
	i := slices.IndexFunc(q.turns, func(l *line) bool { return l.account == a })
	if i < 0 {
		q.turns = slices.Insert(q.turns, 0, &line{account: a, waiting: []connection{c}})
		return
	}
	l := q.turns[i]
	l.waiting = slices.Insert(l.waiting, 0, c)
	q.turns = slices.Insert(slices.Delete(q.turns, i, i+1), 0, l)
}

// drop takes out the clients of accounts, and gives their connections.
func (q *queue) drop(of func(a account) bool) (dropped []connection) {
	q.turns = slices.DeleteFunc(q.turns, func(l *line) bool {
		if !of(l.account) {
			return false
		}
		dropped = append(dropped, l.waiting...)
		return true
	})
	q.n -= len(dropped)
	return dropped
}
