// Package fuseconf parses the settings of /etc/fuse.conf.
//
// It is pure: the caller opens the file and prints the warnings.
package fuseconf

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/go-fusermount/fusermount/internal/fstypes"
)

const (
	Path            = "/etc/fuse.conf"
	DefaultMountMax = 1000
	NoLimit         = -1 // the mount_max that allows any number of file systems

	// MaxFile is the size in bytes up to which a file is used: it is the administrator's,
	// but it is read for anybody.
	MaxFile = 1 << 20

	maxLine = 255 // the length in bytes from which on a line is ignored
)

// Settings is what /etc/fuse.conf says.
type Settings struct {
	// UserAllowOther lets users other than root ask for allow_other and allow_root.
	UserAllowOther bool
	// MountMax is the number of FUSE file systems at which a user other than root gets no
	// further one, or NoLimit.
	MountMax int
	// MountOver are file systems over which users other than root may mount besides the
	// ordinary ones.
	MountOver fstypes.Set
}

// Defaults are the settings of an absent or unreadable file: the safe side.
func Defaults() Settings { return Settings{MountMax: DefaultMountMax} }

// Untrusted says why a file with this owner and mode (of stat(2)) is ignored for a caller;
// it is empty where the file is used. To root the settings give nothing, and in a user
// namespace the file seems to have no owner.
func Untrusted(caller, owner, mode uint32) string {
	switch {
	case caller == 0:
		return ""
	case owner != 0:
		return "it is not owned by root"
	case mode&0o022 != 0:
		return "it is writable for others than root"
	}
	return ""
}

// Line is one line of the file that is not empty.
type Line struct {
	Number    int
	Text      string // without blanks around it and without its comment
	Setting   bool   // it has an effect
	Commented string // the comment, where there is nothing else
	Warnings  []string
}

func (l *Line) warn(format string, args ...any) {
	l.Warnings = append(l.Warnings, fmt.Sprintf(format, args...))
}

// Parse applies the lines of a file in turn, and passes each that is not empty to report,
// which may be nil. A line that it cannot use gets a warning and changes nothing. The
// error says that the file is too large.
func Parse(text string, report func(Line)) (Settings, error) {
	s := Defaults()
	if len(text) > MaxFile {
		return s, fmt.Errorf("larger than %d bytes", MaxFile)
	}
	for n := 1; text != ""; n++ {
		content, rest, complete := strings.Cut(text, "\n")
		line := Line{Number: n}
		if !complete {
			line.warn("reading %s: missing newline at end of file, line %d", Path, n)
		}
		s.apply(&line, content)
		if report != nil && (line.Text != "" || line.Commented != "" || len(line.Warnings) > 0) {
			report(line)
		}
		text = rest
	}
	return s, nil
}

const blanks = " \t\r\v\f"

// apply applies a line, or warns that it does not.
func (s *Settings) apply(l *Line, text string) {
	if len(text) >= maxLine {
		l.warn("reading %s: line %d too long", Path, l.Number)
		return
	}
	text, comment, _ := strings.Cut(text, "#")
	l.Text = strings.Trim(text, blanks)
	switch {
	case l.Text == "":
		l.Commented = strings.Trim(comment, blanks)
		return
	case l.Text == "user_allow_other":
		s.UserAllowOther, l.Setting = true, true
		return
	}
	name, value, found := strings.Cut(l.Text, "=")
	name, value = strings.TrimRight(name, " \t"), strings.TrimLeft(value, " \t")
	switch {
	case found && name == "mount_max":
		max, err := number(value)
		switch {
		case err != nil:
			l.warn("mount_max is not a number in %s at line %d: '%s'", Path, l.Number, value)
		case max < NoLimit:
			l.warn("mount_max is below -1 in %s at line %d: '%s'", Path, l.Number, value)
		default:
			s.MountMax, l.Setting = max, true
		}
	case found && name == "mount_over":
		set, ok := fstypes.Allowable(value)
		if !ok {
			l.warn("mount_over cannot allow this type in %s at line %d: '%s'", Path, l.Number, value)
			return
		}
		s.MountOver |= set
		l.Setting = true
	default:
		l.warn("unknown parameter in %s at line %d: '%s'", Path, l.Number, l.Text)
	}
}

// number reads an integer as C's %i does: decimal, octal after 0, hexadecimal after 0x.
// Go's base 0 has other forms besides.
func number(text string) (int, error) {
	digits := strings.ToLower(strings.TrimLeft(text, "+-"))
	if strings.HasPrefix(digits, "0b") || strings.ContainsAny(digits, "o_") {
		return 0, strconv.ErrSyntax
	}
	n, err := strconv.ParseInt(text, 0, 32)
	return int(n), err
}
