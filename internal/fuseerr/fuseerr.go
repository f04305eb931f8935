// Package fuseerr has the kinds of error that the client package reports, and builds
// errors that are of several kinds. The client package exports the kinds and documents
// them.
package fuseerr

import (
	"context"
	"errors"
)

// The kinds of error, for errors.Is.
var (
	ErrHelperNotFound      = errors.New("no fusermount3 found")
	ErrNotMounted          = errors.New("not mounted")
	ErrCovered             = errors.New("another mount lies on top")
	ErrMountpoint          = errors.New("nothing can be mounted there")
	ErrStale               = errors.New("a FUSE file system whose daemon is gone is mounted there")
	ErrAllowOther          = errors.New("allow_other is not permitted by /etc/fuse.conf")
	ErrTooManyMounts       = errors.New("too many FUSE file systems mounted")
	ErrNoDevice            = errors.New("the fuse device cannot be opened")
	ErrForbiddenMountpoint = errors.New("mounting over this type of file system is forbidden")
	ErrUnknownOption       = errors.New("unknown mount option")
	ErrBadReply            = errors.New("the helper broke the protocol")
)

// Wrap returns an error with a text of its own that is all of the given errors.
func Wrap(text string, errs ...error) error { return &wrapped{text, errs} }

type wrapped struct {
	text string
	errs []error
}

func (e *wrapped) Error() string   { return e.text }
func (e *wrapped) Unwrap() []error { return e.errs }

// Context returns why a context has ended, and nil before its end. The error is both
// the cause and the context's own error.
func Context(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if err == nil || errors.Is(cause, err) {
		return cause
	}
	return Wrap(cause.Error(), cause, err)
}
