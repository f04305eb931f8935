// Package policy decides what the helper may do for a caller.
//
// It is pure: a request and facts go in, a plan or a refusal comes out. There
// are no system calls, files or environment here, so that every decision can
// be read, and tested, in one place. Each function starts from no.
package policy

// Caller is who asks: the real ids of the process, as numbers.
type Caller struct {
	UID, GID uint32
}

// root says whether the caller is root (of his user namespace). What root may
// do in the end is the kernel's decision: the helper lends him nothing.
func (c Caller) root() bool { return c.UID == 0 }

// Refusal is a decision against the caller: one line, and perhaps what he can
// do about it.
type Refusal struct {
	Reason string
	Hint   string // may be empty
}

func (r *Refusal) Error() string { return r.Reason }

func refuse(reason, hint string) error { return &Refusal{Reason: reason, Hint: hint} }
