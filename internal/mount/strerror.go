package mount

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// Strerror gives the text of an error as C's strerror does: callers compare
// it. Go's table holds the same words, in lower case.
func Strerror(err error) string {
	text := err.Error()
	var errno unix.Errno
	if errors.As(err, &errno) {
		text = errno.Error()
	}
	if text == "" {
		return "Unknown error"
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
