package fuseconf

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The lines that mean something, in another way than Parse reads them.
var (
	emptyLine = regexp.MustCompile(`^[ \t\r\v\f]*(#.*)?$`)
	allowLine = regexp.MustCompile(`^[ \t\r\v\f]*user_allow_other[ \t\r\v\f]*(#.*)?$`)
	overLine  = regexp.MustCompile(`^[ \t\r\v\f]*mount_over[ \t]*=[ \t]*(9p|afs|beegfs|coda|hfs|ocfs2|orangefs|prl_fs|udf|ufs|vboxsf|vmhgfs|wslfs)[ \t\r\v\f]*(#.*)?$`)
	maxLineRE = regexp.MustCompile(`^[ \t\r\v\f]*mount_max[ \t]*=[ \t]*([+-]?(?:0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*))[ \t\r\v\f]*(#.*)?$`)
)

// reference reads a file and says which of its lines deserve a warning.
func reference(text string) (s Settings, bad []int) {
	s = Defaults()
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		last := i == len(lines)-1
		if last && line == "" {
			break
		}
		if last { // it counts, and lacks its newline
			bad = append(bad, i+1)
		}
		m := maxLineRE.FindStringSubmatch(line)
		switch n, fits := int64(0), false; {
		case len(line) >= 255:
			bad = append(bad, i+1)
		case emptyLine.MatchString(line):
		case allowLine.MatchString(line):
			s.UserAllowOther = true
		case overLine.MatchString(line):
			s.MountOver |= over(overLine.FindStringSubmatch(line)[1])
		default:
			if m != nil {
				var err error
				n, err = strconv.ParseInt(m[1], 0, 32)
				fits = err == nil && n >= -1
			}
			if fits {
				s.MountMax = int(n)
			} else {
				bad = append(bad, i+1)
			}
		}
	}
	return s, bad
}

// FuzzParse compares Parse with the reference. Each line that is ignored has one short
// warning with its number.
func FuzzParse(f *testing.F) {
	f.Add("user_allow_other\nmount_max = 0x10 # sixteen\n")
	f.Add("mount_over = 9p # WSL\nmount_over=proc\n")
	f.Fuzz(func(t *testing.T, text string) {
		got, warnings, err := Parse(text)
		if len(text) > MaxFile {
			if err == nil || got != Defaults() {
				t.Fatalf("%d bytes: %+v, %v", len(text), got, err)
			}
			return
		}
		want, bad := reference(text)
		if err != nil || got != want || len(warnings) != len(bad) {
			t.Fatalf("Parse(%q) = %+v, %q, %v; the reference says %+v and lines %v", text, got, warnings, err, want, bad)
		}
		for i, n := range bad {
			if !strings.Contains(warnings[i], fmt.Sprintf("line %d", n)) || len(warnings[i]) > 2*MaxLine {
				t.Fatalf("line %d of %q: %q", n, text, warnings[i])
			}
		}
	})
}
