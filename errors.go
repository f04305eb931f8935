package fusermount

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// What went wrong, for errors.Is. Where the kernel or a helper named an errno,
// the same error also is that errno (unix.EBUSY, unix.ENOTCONN …), and with it
// fs.ErrPermission or fs.ErrNotExist where that fits.
var (
	// ErrHelperNotFound: a helper is needed and there is none. errors.As for a
	// [*HelperNotFoundError] tells where it was looked for.
	ErrHelperNotFound = errors.New("no fusermount3 found")
	// ErrNotMounted: the mount to be unmounted or aborted is not there (any
	// more), or is no FUSE mount, or is not the caller's; or a device to be taken
	// over is not mounted.
	ErrNotMounted = errors.New("not mounted")
	// ErrCovered: another mount lies on top of the one to be unmounted. It is
	// also unix.EBUSY.
	ErrCovered = errors.New("another mount lies on top")
	// ErrStale: what lies at the mountpoint is a FUSE mount whose daemon is gone;
	// see [Options.ReplaceStale]. It is also unix.ENOTCONN. libfuse's helper only
	// refuses a user then; that is an ErrStale where [Daemons] calls it dead.
	ErrStale = errors.New("a FUSE file system whose daemon is gone is mounted there")
	// ErrAllowOther: allow_other or allow_root need the line user_allow_other in
	// /etc/fuse.conf. It is also fs.ErrPermission.
	ErrAllowOther = errors.New("allow_other is not permitted by /etc/fuse.conf")
	// ErrTooManyMounts: mount_max of /etc/fuse.conf is reached.
	ErrTooManyMounts = errors.New("too many FUSE file systems mounted")
	// ErrNoDevice: /dev/fuse is absent or closed to the caller.
	ErrNoDevice = errors.New("the fuse device cannot be opened")
	// ErrForbiddenMountpoint: the helper does not let users mount over this type
	// of file system. It is also fs.ErrPermission.
	ErrForbiddenMountpoint = errors.New("mounting over this type of file system is forbidden")
	// ErrUnknownOption: a helper, or this package for a direct mount, does not
	// know an option. It is also unix.EINVAL.
	ErrUnknownOption = errors.New("unknown mount option")
	// ErrBadReply: the helper ended well but sent no device, or it sent something
	// else than one descriptor of the fuse device, or one that is not mounted.
	ErrBadReply = errors.New("the helper broke the protocol")
)

// Error is an error of Mount, Unmount, Abort or List.
type Error struct {
	Op   string // mount, unmount, abort, list
	Path string // the mountpoint as it was given; empty for list

	// Helper is the program that was run, empty if none was. ExitStatus is its
	// exit status; -1 if a signal ended it, if it was still running when it was
	// given up, or if something else in this process took the status (a wait for
	// all children, or SIGCHLD ignored). Messages are the lines that it wrote, without its name in
	// front; ours adds lines that begin with "hint: ". They are escaped by our
	// helper only: print them with %q where a terminal could be misled.
	Helper     string
	ExitStatus int
	Messages   []string

	// Err is the cause. For a helper's refusal its text is the message that
	// was decisive.
	Err error
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Path != "" {
		b.WriteString(" " + e.Path)
	}
	if e.Helper != "" {
		b.WriteString(": " + filepath.Base(e.Helper))
	}
	b.WriteString(": " + e.Err.Error())
	for _, m := range e.Messages {
		if hint, ok := strings.CutPrefix(m, hintPrefix); ok {
			b.WriteString(" (" + hint + ")")
		}
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// HelperNotFoundError says where a helper was looked for. It is an
// [ErrHelperNotFound], and fs.ErrPermission if one was there that may not be
// executed.
type HelperNotFoundError struct {
	// Searched are the files that would have done, in order.
	Searched []string

	denied string // the first of them that may not be executed
}

func (e *HelperNotFoundError) Error() string {
	text := fmt.Sprintf("%v (looked for %s)", ErrHelperNotFound, strings.Join(e.Searched, ", "))
	if e.denied != "" {
		text += "; " + e.denied + " may not be executed"
	}
	return text
}

// Is makes it an ErrHelperNotFound, and fs.ErrPermission.
func (e *HelperNotFoundError) Is(target error) bool {
	return target == ErrHelperNotFound || target == fs.ErrPermission && e.denied != ""
}

// because gives cause a text of its own and more kinds to be asked for.
func because(text string, kinds ...error) error { return &kindsError{text, kinds} }

type kindsError struct {
	text  string
	kinds []error
}

func (e *kindsError) Error() string   { return e.text }
func (e *kindsError) Unwrap() []error { return e.kinds }

// also joins errors on one line; nil ones are left out.
func also(errs ...error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = err.Error()
	}
	return because(strings.Join(texts, "; "), errs...)
}
