// Package fuseconf parses the settings of /etc/fuse.conf. It is pure.
package fuseconf

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/go-fusermount/fusermount/internal/fstypes"
)

var Path = "/etc/fuse.conf" // the linker sets it for another SYSCONFDIR

const (
	DefaultMountMax = 1000
	NoLimit         = -1 // the mount_max that allows any number of file systems

	// MaxFile is the size in bytes up to which a file is used: it is the administrator's,
	// but it is read for anybody.
	MaxFile = 1 << 20

	MaxLine = 254 // the length in bytes up to which a line is used
)

// Settings is what /etc/fuse.conf says.
type Settings struct {
	// UserAllowOther lets users other than root ask for allow_other and allow_root.
	UserAllowOther bool
	// MountMax is the number of FUSE file systems at which a user other than root gets no
	// further one, or NoLimit.
	MountMax int
	// MountOver are further file systems over which users other than root may mount.
	MountOver fstypes.Set
}

// Defaults are the settings of an absent or unreadable file: the safe side.
func Defaults() Settings { return Settings{MountMax: DefaultMountMax} }

// Untrusted says why a file with this owner and mode (of stat(2)) is ignored for a caller;
// it is empty where the file is used. To root the settings give nothing. In a user namespace the
// file may be the host's: unmapped says that its owner has no number here.
func Untrusted(caller, owner, mode uint32, unmapped bool) string {
	switch {
	case caller == 0:
		return ""
	case owner != 0 && !unmapped:
		return "it is not owned by root"
	case mode&0o022 != 0:
		return "it is writable for others than root"
	}
	return ""
}

// Unmapped says whether a uid has no number in a user namespace with this uid_map
// (user_namespaces(7)); stat(2) shows another one then.
func Unmapped(uidMap string, uid uint32) bool {
	for line := range strings.Lines(uidMap) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			return false
		}
		inside, err := strconv.ParseUint(fields[0], 10, 32)
		count, malformed := strconv.ParseUint(fields[2], 10, 32)
		if err != nil || malformed != nil || inside <= uint64(uid) && uint64(uid) < inside+count {
			return false
		}
	}
	return uidMap != ""
}

// Parse applies the lines of a file in turn. One that it cannot use gets a warning and
// changes nothing. The error says that the file is too large.
func Parse(text string) (s Settings, warnings []string, err error) {
	s = Defaults()
	if len(text) > MaxFile {
		return s, nil, fmt.Errorf("larger than %d bytes", MaxFile)
	}
	for n := 1; text != ""; n++ {
		line, rest, complete := strings.Cut(text, "\n")
		if !complete {
			warnings = append(warnings, fmt.Sprintf("reading %s: missing newline at end of file, line %d", Path, n))
		}
		if warning := s.Apply(n, line); warning != "" {
			warnings = append(warnings, warning)
		}
		text = rest
	}
	return s, warnings, nil
}

// SplitComment gives a line's setting and its comment, both without blanks around them.
func SplitComment(line string) (setting, comment string) {
	const blanks = " \t\r\v\f"
	setting, comment, _ = strings.Cut(line, "#")
	return strings.Trim(setting, blanks), strings.Trim(comment, blanks)
}

// Apply applies the line with number n. The warning is for one that it cannot use.
func (s *Settings) Apply(n int, line string) (warning string) {
	if len(line) > MaxLine {
		return fmt.Sprintf("reading %s: line %d too long", Path, n)
	}
	setting, _ := SplitComment(line)
	name, value, found := strings.Cut(setting, "=")
	name, value = strings.TrimRight(name, " \t"), strings.TrimLeft(value, " \t")
	switch {
	case setting == "":
	case setting == "user_allow_other":
		s.UserAllowOther = true
	case found && name == "mount_max":
		max, err := number(value)
		switch {
		case err != nil:
			return fmt.Sprintf("mount_max is not a number in %s at line %d: '%s'", Path, n, value)
		case max < NoLimit:
			return fmt.Sprintf("mount_max is below -1 in %s at line %d: '%s'", Path, n, value)
		}
		s.MountMax = max
	case found && name == "mount_over":
		set, ok := fstypes.Allowable(value)
		if !ok {
			return fmt.Sprintf("mount_over cannot allow this type in %s at line %d: '%s'", Path, n, value)
		}
		s.MountOver |= set
	default:
		return fmt.Sprintf("unknown parameter in %s at line %d: '%s'", Path, n, setting)
	}
	return ""
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
