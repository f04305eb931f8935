package fusermount

import (
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// phrase is something that helpers say, ours and libfuse's alike, and what it
// means. Messages begin with prefix, which no mountpoint's name can forge.
type phrase struct {
	prefix, suffix string
	kinds          []error
	errno          place // where the phrase has the text of an errno
}

type place int

const (
	nowhere place = iota
	atEnd
	afterPrefix
)

const hintPrefix = "hint: "

// phrases are looked through in order. What is not here still ends up in the
// text of the error.
var phrases = []phrase{
	{"option allow_", " only allowed if 'user_allow_other' is set in /etc/fuse.conf", []error{ErrAllowOther, unix.EPERM}, nowhere},
	{"too many FUSE filesystems mounted", "", []error{ErrTooManyMounts}, nowhere},
	{"fuse device ", "", []error{ErrNoDevice, unix.ENODEV}, nowhere},
	{"failed to open /etc/", "", nil, nowhere}, // a remark: the helper goes on without the file
	{"failed to open /", "", []error{ErrNoDevice}, atEnd},
	{"entry for ", " not found in /etc/mtab", []error{ErrNotMounted}, nowhere},
	{"failed to unmount ", " lies inside", []error{unix.EPERM}, nowhere},
	{"failed to unmount ", "", nil, atEnd},
	{"mount failed: ", "", nil, afterPrefix},
	{"failed to access mountpoint ", "", nil, atEnd},
	{"bad mount point ", "", nil, atEnd},
	{"failed to chdir to mountpoint: ", "", nil, afterPrefix},
	{"user has no write access to mountpoint ", "", []error{unix.EACCES}, nowhere},
	{"mountpoint ", " not owned by user", []error{unix.EPERM}, nowhere},
	{"mountpoint ", " is not a directory or a regular file", []error{unix.ENOTDIR}, nowhere},
	{"mounting over filesystem type ", "", []error{ErrForbiddenMountpoint, unix.EPERM}, nowhere},
	{"unknown option '", "", []error{ErrUnknownOption, unix.EINVAL}, nowhere},
	{"invalid option '", "", []error{unix.EINVAL}, nowhere},
	{"option blkdev is privileged", "", []error{unix.EPERM}, nowhere},
	{"'fuseblk' support missing", "", []error{unix.ENODEV}, nowhere},
}

// decisive finds the message that says why a helper failed, and what kinds of
// error it is; without any known one, all that was said.
func decisive(messages []string) error {
	for _, m := range messages {
		for _, p := range phrases {
			if !strings.HasPrefix(m, p.prefix) || !strings.HasSuffix(m, p.suffix) {
				continue
			}
			if kinds := p.meaning(m); len(kinds) > 0 {
				return because(m, kinds...)
			}
			break
		}
	}
	said := slices.DeleteFunc(slices.Clone(messages), func(m string) bool { return strings.HasPrefix(m, hintPrefix) })
	if len(said) == 0 {
		return nil
	}
	return errors.New(strings.Join(said, "; "))
}

func (p phrase) meaning(m string) []error {
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
		kinds = append(kinds, ErrStale)
	}
	if errno != 0 {
		kinds = append(kinds, errno)
	}
	return kinds
}

// maxErrno is the highest number of an error on any architecture (EDQUOT on
// MIPS).
const maxErrno = 1133

// errnoOf finds the errno whose text stands in m. C's texts are Go's but for
// the first letter's case. The longest one counts, should one be part of
// another.
func errnoOf(m string, stands func(s, text string) bool) unix.Errno {
	m = strings.ToLower(m)
	var best unix.Errno
	longest := 0
	for n := unix.Errno(1); n <= maxErrno; n++ {
		text := strings.ToLower(n.Error())
		if len(text) > longest && stands(m, text) {
			best, longest = n, len(text)
		}
	}
	return best
}
