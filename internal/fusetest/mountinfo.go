package fusetest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// Line is one mount of /proc/self/mountinfo.
type Line struct {
	ID, Parent   int
	Device       string // "major:minor"
	Root         string // unescaped, as Mountpoint and Source
	Mountpoint   string
	Options      string // of the mount
	Tags         []string
	FSType       string
	Source       string
	SuperOptions string // of the file system
}

// HasOption reports whether the mount or its file system has the whole option:
// "nosuid", "user_id=1000".
func (l Line) HasOption(option string) bool {
	for _, o := range strings.Split(l.Options+","+l.SuperOptions, ",") {
		if o == option {
			return true
		}
	}
	return false
}

// Mountinfo reads the mount table, by another parser than the project's.
func Mountinfo(t testing.TB) []Line {
	t.Helper()
	lines, err := readMountinfo()
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// MountsAt returns the mounts at exactly this path, the topmost last.
func MountsAt(t testing.TB, path string) []Line {
	t.Helper()
	return mountsAt(Mountinfo(t), path)
}

// FindMount returns the topmost mount at exactly this path, and whether there
// is one.
func FindMount(t testing.TB, path string) (Line, bool) {
	t.Helper()
	stack := MountsAt(t, path)
	if len(stack) == 0 {
		return Line{}, false
	}
	return stack[len(stack)-1], true
}

// mountsAt sorts from the lowest mount to the topmost. The table is in the order of
// creation, not of attaching.
func mountsAt(lines []Line, path string) []Line {
	above := make(map[int]Line) // by parent
	here := make(map[int]bool)
	var stack, loose []Line
	for _, l := range lines {
		if l.Mountpoint == path {
			here[l.ID] = true
			above[l.Parent] = l
			loose = append(loose, l)
		}
	}
	for _, l := range loose {
		if here[l.Parent] {
			continue
		}
		for ok := true; ok && len(stack) < len(loose); l, ok = above[l.ID] {
			stack = append(stack, l)
		}
	}
	return stack
}

func readMountinfo() ([]Line, error) {
	// Of this thread, which may be in a namespace of its own.
	data, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return nil, err
	}
	return parseMountinfo(data)
}

func parseMountinfo(data []byte) ([]Line, error) {
	var lines []Line
	for text := range strings.Lines(string(data)) {
		l, err := parseLine(strings.TrimSuffix(text, "\n"))
		if err != nil {
			return nil, err
		}
		lines = append(lines, l)
	}
	return lines, nil
}

// parseLine splits at the blanks, which the kernel escapes inside a field. A
// single dash ends the tags.
func parseLine(text string) (Line, error) {
	f := strings.Split(text, " ")
	dash := 6
	for dash < len(f) && f[dash] != "-" {
		dash++
	}
	if len(f) < dash+4 {
		return Line{}, fmt.Errorf("mountinfo: too few fields in %q", text)
	}
	id, idErr := strconv.Atoi(f[0])
	parent, parentErr := strconv.Atoi(f[1])
	if idErr != nil || parentErr != nil {
		return Line{}, fmt.Errorf("mountinfo: bad ids in %q", text)
	}
	return Line{
		ID: id, Parent: parent, Device: f[2], Root: unescape(f[3]), Mountpoint: unescape(f[4]),
		Options: f[5], Tags: f[6:dash],
		FSType: unescape(f[dash+1]), Source: unescape(f[dash+2]), SuperOptions: strings.Join(f[dash+3:], " "),
	}, nil
}

// unescape replaces a backslash and three octal digits by their byte.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(v))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// TopMount is FindMount for a program that is no test.
func TopMount(path string) (l Line, found bool, err error) {
	lines, err := readMountinfo()
	if err != nil {
		return Line{}, false, err
	}
	stack := mountsAt(lines, path)
	if len(stack) == 0 {
		return Line{}, false, nil
	}
	return stack[len(stack)-1], true, nil
}

// AllMounts is Mountinfo for a program that is no test.
func AllMounts() ([]Line, error) { return readMountinfo() }
