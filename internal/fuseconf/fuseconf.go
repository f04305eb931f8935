// Package fuseconf reads the settings of /etc/fuse.conf.
//
// It is pure: the caller opens the file, judges its owner and mode, and
// prints the warnings.
package fuseconf

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Path is where the settings are read from.
const Path = "/etc/fuse.conf"

// DefaultMountMax is how many FUSE file systems may be mounted when nothing
// else is set.
const DefaultMountMax = 1000

// NoLimit is the mount_max that allows any number of file systems.
const NoLimit = -1

// maxLine is the length in bytes from which on a line is ignored.
const maxLine = 255

// maxFile bounds what is read: the file is the administrator's, but it is
// read on behalf of anybody.
const maxFile = 1 << 20

// Settings is what /etc/fuse.conf says.
type Settings struct {
	// UserAllowOther lets users other than root ask for allow_other and
	// allow_root.
	UserAllowOther bool
	// MountMax is the number of FUSE file systems at which a user other than
	// root gets no further one, or NoLimit.
	MountMax int
}

// Defaults are the settings of an absent or unreadable file: the safe side.
func Defaults() Settings {
	return Settings{MountMax: DefaultMountMax}
}

// Parse reads settings from r. A line that it cannot use gives a warning and
// changes nothing; the error is r's alone, or says that there is no end to it.
func Parse(r io.Reader) (Settings, []string, error) {
	s := Defaults()
	var warnings []string
	limited := &io.LimitedReader{R: r, N: maxFile + 1}
	in := bufio.NewReaderSize(limited, 4096)
	for n := 1; ; n++ {
		text, err := in.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return Defaults(), nil, err
		}
		if limited.N == 0 {
			return Defaults(), nil, fmt.Errorf("larger than %d bytes", maxFile)
		}
		last := err != nil
		if last && text == "" {
			return s, warnings, nil
		}
		if last {
			warnings = append(warnings, fmt.Sprintf("reading %s: missing newline at end of file, line %d", Path, n))
		}
		if warning := s.line(n, strings.TrimSuffix(text, "\n")); warning != "" {
			warnings = append(warnings, warning)
		}
		if last {
			return s, warnings, nil
		}
	}
}

// line applies line n, or says why it does not.
func (s *Settings) line(n int, text string) (warning string) {
	if len(text) >= maxLine {
		return fmt.Sprintf("reading %s: line %d too long", Path, n)
	}
	text, _, _ = strings.Cut(text, "#")
	text = strings.Trim(text, " \t\r\v\f")
	if text == "" {
		return ""
	}
	if text == "user_allow_other" {
		s.UserAllowOther = true
		return ""
	}
	name, value, found := strings.Cut(text, "=")
	if !found || strings.TrimRight(name, " \t") != "mount_max" {
		return fmt.Sprintf("unknown parameter in %s at line %d: '%s'", Path, n, text)
	}
	value = strings.TrimLeft(value, " \t")
	max, err := number(value)
	switch {
	case err != nil:
		return fmt.Sprintf("mount_max is not a number in %s at line %d: '%s'", Path, n, value)
	case max < NoLimit:
		return fmt.Sprintf("mount_max is below -1 in %s at line %d: '%s'", Path, n, value)
	}
	s.MountMax = max
	return ""
}

// number reads an integer as C's %i does: decimal, octal after 0, hexadecimal
// after 0x. Unlike Go's own base 0 it takes no 0b, 0o or underscores.
func number(text string) (int, error) {
	digits, sign := text, ""
	if digits != "" && (digits[0] == '-' || digits[0] == '+') {
		digits, sign = digits[1:], digits[:1]
	}
	base := 10
	switch {
	case strings.HasPrefix(digits, "0x"), strings.HasPrefix(digits, "0X"):
		digits, base = digits[2:], 16
	case len(digits) > 1 && digits[0] == '0':
		digits, base = digits[1:], 8
	}
	if digits == "" || digits[0] == '-' || digits[0] == '+' {
		return 0, strconv.ErrSyntax
	}
	n, err := strconv.ParseInt(sign+digits, base, 32)
	return int(n), err
}
