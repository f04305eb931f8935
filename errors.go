//go:build linux

package fusermount

import (
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/go-fusermount/fusermount/internal/ask"
	"github.com/go-fusermount/fusermount/internal/fuseerr"
	"github.com/go-fusermount/fusermount/internal/helperproc"
)

// What went wrong, for errors.Is. Where the kernel or a helper named an errno, the same
// error also is that errno (unix.EBUSY, unix.ENOTCONN …), and with it fs.ErrPermission
// or fs.ErrNotExist where that fits.
var (
	// ErrHelperNotFound: a helper is needed and there is none. errors.As for a
	// [*HelperNotFoundError] tells where it was searched for.
	ErrHelperNotFound = fuseerr.ErrHelperNotFound
	// ErrNotMounted: the mount to be unmounted or aborted is not there (any more), or
	// is no FUSE mount, or is not the caller's; or a device to be taken over is not
	// mounted.
	ErrNotMounted = fuseerr.ErrNotMounted
	// ErrCovered: another mount lies on top of the one to be unmounted. It is also
	// unix.EBUSY.
	ErrCovered = fuseerr.ErrCovered
	// ErrMountpoint: something is wrong with the mountpoint, and with nothing else: it does
	// not exist, cannot be reached, is not the caller's, is no directory or regular file, or
	// is an ErrStale or ErrForbiddenMountpoint.
	ErrMountpoint = fuseerr.ErrMountpoint
	// ErrStale: what lies at the mountpoint is a FUSE mount whose daemon is gone; see
	// [Options.ReplaceStale]. It is also unix.ENOTCONN.
	ErrStale = fuseerr.ErrStale
	// ErrAllowOther: allow_other or allow_root need the line user_allow_other in
	// /etc/fuse.conf. It is also fs.ErrPermission.
	ErrAllowOther = fuseerr.ErrAllowOther
	// ErrTooManyMounts: mount_max of /etc/fuse.conf is reached.
	ErrTooManyMounts = fuseerr.ErrTooManyMounts
	// ErrNoDevice: /dev/fuse is absent or closed to the caller.
	ErrNoDevice = fuseerr.ErrNoDevice
	// ErrForbiddenMountpoint: the helper does not let users mount over this type of
	// file system. It is also fs.ErrPermission.
	ErrForbiddenMountpoint = fuseerr.ErrForbiddenMountpoint
	// ErrUnknownOption: a helper, or this package for a direct mount, does not know an
	// option. It is also unix.EINVAL.
	ErrUnknownOption = fuseerr.ErrUnknownOption
	// ErrNoService: nobody listens at the mount service's socket, or the caller may not ask.
	ErrNoService = ask.ErrNoService
	// ErrBadReply: the helper ended well but sent no device, or it sent something else
	// than one descriptor of the fuse device, or one that is not mounted.
	ErrBadReply = fuseerr.ErrBadReply
)

// Error is an error of this package's calls.
type Error struct {
	Op   string // mount, unmount, abort, list
	Path string // the mountpoint as it was given; empty for list

	// Helper is the program that was run, empty if none was. ExitStatus is its exit status;
	// -1 if a signal ended it, it was given up, or something else in this process took the
	// status. Messages are the lines that it wrote, without its name in front, and hints
	// with "hint: " in front. Only this module's helper escapes them.
	Helper     string
	ExitStatus int
	Messages   []string

	// Err is the cause. For a helper's refusal its text is the message that says why.
	Err error
}

// Error is one line: the operation, the path, the helper, the cause and the hints.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Path != "" {
		b.WriteString(" " + e.Path)
	}
	if e.Helper != "" {
		b.WriteString(": " + filepath.Base(e.Helper))
	}
	if e.Err != nil {
		b.WriteString(": " + oneLine(e.Err))
	}
	for _, m := range e.Messages {
		if hint, ok := strings.CutPrefix(m, helperproc.HintPrefix); ok {
			b.WriteString(" (" + hint + ")")
		}
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// newError returns the error of a call, with what err has of a helper.
func newError(op, path string, err error) *Error {
	e := &Error{Op: op, Path: path, Err: err}
	var helper *helperproc.Error
	if errors.As(err, &helper) {
		e.Helper, e.ExitStatus, e.Messages = helper.Path, helper.ExitStatus, helper.Messages
	}
	return e
}

// oneLine is the text of an error, with the errors that errors.Join puts on lines of
// their own.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// wrap returns an error with a text of its own that is all of the given errors.
func wrap(text string, errs ...error) error { return fuseerr.Wrap(text, errs...) }

// HelperNotFoundError says where a helper was searched for. It is an [ErrHelperNotFound] and
// an exec.ErrNotFound, and fs.ErrPermission if there was one that may not be executed.
type HelperNotFoundError struct {
	// Searched are the files that were tried, in order.
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

// Is answers for the kinds that the type names.
func (e *HelperNotFoundError) Is(target error) bool {
	return target == ErrHelperNotFound || target == exec.ErrNotFound || target == fs.ErrPermission && e.denied != ""
}
