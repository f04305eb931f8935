//go:build linux

package helperproc

import (
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fuseerr"
)

// phrase is a message of helpers, this module's and libfuse's alike, and what it means.
// Messages begin with prefix, so the name of a mountpoint cannot forge one.
type phrase struct {
	prefix, suffix string
	kinds          []error
	errno          place // of an errno's text
}

// place says where a message has the text of an errno.
type place int

const (
	nowhere place = iota
	atEnd
	afterPrefix
)

// HintPrefix begins a message that says what to do.
const HintPrefix = "hint: "

// phrases are tried in order. A message that is not here is still in the text of the
// error.
var phrases = []phrase{
	{"option allow_", " only allowed if 'user_allow_other' is set in /etc/fuse.conf", []error{fuseerr.ErrAllowOther, unix.EPERM}, nowhere},
	{"too many FUSE filesystems mounted", "", []error{fuseerr.ErrTooManyMounts}, nowhere},
	{"fuse device ", "", []error{fuseerr.ErrNoDevice, unix.ENODEV}, nowhere},
	{"failed to open /etc/", "", nil, nowhere}, // a warning: the helper goes on without the file
	{"failed to open /", "", []error{fuseerr.ErrNoDevice}, atEnd},
	{"entry for ", " not found in /etc/mtab", []error{fuseerr.ErrNotMounted}, nowhere},
	{"failed to unmount ", " lies inside", []error{unix.EPERM}, nowhere},
	{"failed to unmount ", "", nil, atEnd},
	{"mount failed: ", "", nil, afterPrefix},
	{"failed to access mountpoint ", "", []error{fuseerr.ErrMountpoint}, atEnd},
	{"bad mount point ", "", []error{fuseerr.ErrMountpoint}, atEnd},
	{"failed to chdir to mountpoint: ", "", []error{fuseerr.ErrMountpoint}, afterPrefix},
	{"user has no write access to mountpoint ", "", []error{fuseerr.ErrMountpoint, unix.EACCES}, nowhere},
	{"mountpoint ", " not owned by user", []error{fuseerr.ErrMountpoint, unix.EPERM}, nowhere},
	{"mountpoint ", " is not a directory or a regular file", []error{fuseerr.ErrMountpoint, unix.ENOTDIR}, nowhere},
	{"mounting over filesystem type ", "", []error{fuseerr.ErrMountpoint, fuseerr.ErrForbiddenMountpoint, unix.EPERM}, nowhere},
	{"unknown option '", "", []error{fuseerr.ErrUnknownOption, unix.EINVAL}, nowhere},
	{"invalid option '", "", []error{unix.EINVAL}, nowhere},
	{"option blkdev is privileged", "", []error{unix.EPERM}, nowhere},
	{"'fuseblk' support missing", "", []error{unix.ENODEV}, nowhere},
}

// maxText bounds the text of an error whose message is unknown, in bytes. The messages
// themselves are in Error.
const maxText = 1 << 10

// classify finds the message that says why a helper failed, and the kinds of error that
// it stands for. If it knows none, its error has the text of all messages.
func classify(messages []string) error {
	for _, m := range messages {
		for _, p := range phrases {
			if !strings.HasPrefix(m, p.prefix) || !strings.HasSuffix(m, p.suffix) {
				continue
			}
			if kinds := p.kindsIn(m); len(kinds) > 0 {
				return fuseerr.Wrap(m, kinds...)
			}
			break
		}
	}
	all := slices.DeleteFunc(slices.Clone(messages), func(m string) bool { return strings.HasPrefix(m, HintPrefix) })
	if len(all) == 0 {
		return nil
	}
	text := strings.Join(all, "; ")
	if len(text) > maxText {
		text = "... " + strings.ToValidUTF8(text[len(text)-maxText:], "")
	}
	return errors.New(text)
}

func (p phrase) kindsIn(m string) []error {
	kinds := slices.Clone(p.kinds)
	var errno unix.Errno
	switch p.errno {
	case afterPrefix:
		errno = errnoOf(strings.TrimPrefix(m, p.prefix), strings.HasPrefix)
	case atEnd:
		errno = errnoOf(m, strings.HasSuffix)
	case nowhere:
		return kinds
	}
	if errno == unix.ENOTCONN && p.prefix == "failed to access mountpoint " {
		kinds = append(kinds, fuseerr.ErrStale)
	}
	if errno != 0 {
		kinds = append(kinds, errno)
	}
	return kinds
}

// maxErrno is the highest errno on any architecture (EDQUOT on MIPS).
const maxErrno = 1133

// errnoOf finds the errno whose text is in m. C's texts are Go's but for the case of the
// first letter. The longest text counts, since one may be part of another.
func errnoOf(m string, has func(s, text string) bool) unix.Errno {
	m = strings.ToLower(m)
	var best unix.Errno
	longest := 0
	for n := unix.Errno(1); n <= maxErrno; n++ {
		text := strings.ToLower(n.Error())
		if len(text) > longest && has(m, text) {
			best, longest = n, len(text)
		}
	}
	return best
}
