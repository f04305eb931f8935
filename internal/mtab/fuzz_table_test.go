package mtab

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var octalEscape = regexp.MustCompile(`\\[0-3][0-7]{2}`)

// unmangled reads a field as libmount and getmntent(3) do, in another way than
// Unescape.
func unmangled(s string) string {
	return octalEscape.ReplaceAllStringFunc(s, func(e string) string {
		n, err := strconv.ParseUint(e[1:], 8, 8)
		if err != nil {
			panic(err) // the pattern matched
		}
		return string([]byte{byte(n)})
	})
}

// FuzzEscape checks that a field is read back as it was, and never ends early.
func FuzzEscape(f *testing.F) {
	f.Add("a b\t\n\\#\\040")
	f.Fuzz(func(t *testing.T, s string) {
		e := Escape(s)
		if strings.ContainsAny(e, " \t\n#") || len(e) > 4*len(s) || Unescape(e) != s || unmangled(e) != s {
			t.Fatalf("Escape(%q) = %q, back %q and %q", s, e, Unescape(e), unmangled(e))
		}
		if u := Unescape(s); len(u) > len(s) || u != unmangled(s) {
			t.Fatalf("Unescape(%q) = %q, want %q", s, u, unmangled(s))
		}
	})
}

// table is one of the two of user space.
type table struct {
	add    func(string, Record) string
	remove func(string, Record) string
	read   func(line string) []string // source, target, options
	names  func(line string) bool     // uid 1's mount 65 of type fuse at /m
}

var userTables = map[string]table{
	"utab": {utabAdd, utabRemove, func(line string) []string {
		m := regexp.MustCompile(`^SRC=([^ \t\n]*) TARGET=([^ \t\n]*) ROOT=/ ATTRS=fusermount\.id=65 OPTS=([^ \t\n]*)$`).FindStringSubmatch(line)
		return m[min(1, len(m)):]
	}, func(line string) bool {
		fields := strings.FieldsFunc(strings.TrimSuffix(line, "\n"), separator)
		has := func(name, want string) bool {
			return slices.ContainsFunc(fields, func(f string) bool {
				value, found := strings.CutPrefix(f, name)
				return found && unmangled(value) == want
			})
		}
		return has("ATTRS=", "fusermount.id=65") && has("TARGET=", "/m")
	}},
	"mtab": {mtabAdd, mtabRemove, func(line string) []string {
		m := regexp.MustCompile(`^([^ \t\n]*) ([^ \t\n]*) fuse ([^ \t\n]*) 0 0$`).FindStringSubmatch(line)
		return m[min(1, len(m)):]
	}, func(line string) bool {
		f := strings.FieldsFunc(line, separator)
		return len(f) > 3 && unmangled(f[1]) == "/m" && unmangled(f[2]) == "fuse" && firstOwner.MatchString(unmangled(f[3]))
	}},
}

// FuzzTables checks, for any table and any names: a mount adds one line (CVE-2005-3531),
// from which other programs read its names; removing it restores every byte; and no other
// line is removed instead.
func FuzzTables(f *testing.F) {
	f.Add("SRC=x TARGET=/y OPTS=z\n", "a b", "/m\n", "c,d", uint32(1000), uint32(100))
	f.Fuzz(func(t *testing.T, text, source, target, option string, uid, other uint32) {
		r := Record{
			ID: 65, Source: source, Target: target, Type: "fuse",
			Options: fmt.Sprintf("rw,user_id=%d,group_id=0", uid), Userspace: []string{"x-" + option, "x-last"},
		}
		stranger := r
		stranger.ID, stranger.Options = 650, fmt.Sprintf("rw,user_id=%d", other)
		for name, table := range userTables {
			added := table.add(text, r)
			line, found := strings.CutPrefix(added, terminated(text))
			if !found || strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") {
				t.Fatalf("%s: not one line more: %q", name, added)
			}
			options := map[string]string{"utab": "x-" + option + ",x-last", "mtab": r.Options}[name]
			wantFields(t, name, table.read(strings.TrimSuffix(line, "\n")), []string{source, target, options})
			if changed := table.remove(added, stranger); changed != added && !strings.HasSuffix(changed, line) && other != uid {
				t.Fatalf("%s: uid %d took the line of uid %d: %q became %q", name, other, uid, added, changed)
			}
			if source == "" || target == "" {
				continue // a field of a table is never empty
			}
			if back := table.remove(added, r); back != terminated(text) {
				t.Fatalf("%s: %q became %q became %q", name, text, added, back)
			}
		}
	})
}

func wantFields(t *testing.T, name string, got, want []string) {
	t.Helper()
	for i, field := range got {
		got[i] = unmangled(field)
	}
	if len(got) != len(want) || strings.Join(got, "\x00") != strings.Join(want, "\x00") {
		t.Fatalf("%s: others read %q, want %q", name, got, want)
	}
}

// FuzzRemove checks for any text that a removal removes one whole line, which names the
// mount, or nothing.
func FuzzRemove(f *testing.F) {
	f.Add("SRC=s TARGET=/m ROOT=/ ATTRS=fusermount.id=65 OPTS=x-a\ns /m fuse rw,user_id=1 0 0")
	f.Fuzz(func(t *testing.T, text string) {
		r := Record{ID: 65, Source: "s", Target: "/m", Type: "fuse", Options: "rw,user_id=1"}
		for name, table := range userTables {
			changed := table.remove(text, r)
			if changed != text && !slices.ContainsFunc(without(text, changed), table.names) {
				t.Fatalf("%s: %q became %q", name, text, changed)
			}
		}
	})
}

// without gives the lines of which text lost exactly one to become changed.
func without(text, changed string) (lost []string) {
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		if strings.Join(slices.Concat(lines[:i], lines[i+1:]), "") == changed {
			lost = append(lost, line)
		}
	}
	return lost
}
