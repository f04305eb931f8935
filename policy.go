package fusermount

import (
	"io"
)

// UnmountOption says how to unmount: a [Policy], or [WithHelper].
type UnmountOption interface{ apply(*unmountOptions) }

// Policy is what to do while a mount is busy: while files in it are open, or
// directories of processes, or while something is mounted inside or on top.
type Policy int

const (
	// Fail gives up at once, with EBUSY. This is the default.
	Fail Policy = iota
	// Retry tries again until the context ends; the error is then both EBUSY and
	// the context's.
	Retry
	// Lazy detaches the mount from the mount table at once, with everything
	// that is mounted inside; the file system ends when it is not used any more.
	// A helper refuses it to users while somebody else's mount lies inside. What
	// lies on top of the mount keeps even this from being done.
	Lazy
)

func (p Policy) apply(o *unmountOptions) { o.policy = p }

type unmountOptions struct {
	policy                   Policy
	helper                   string
	forceHelper, forceDirect bool
	stderr                   io.Writer
}

type withHelper string

func (h withHelper) apply(o *unmountOptions) { o.helper = string(h) }

// WithHelper names the helper to run if one is needed. Without it an unmount
// runs the one of Options.Helper, or the one that [FindHelper] finds. A bare name is
// looked up as that of Options.Helper.
func WithHelper(path string) UnmountOption { return withHelper(path) }
