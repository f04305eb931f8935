package docs

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-fusermount/fusermount/internal/cmdline"
	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/optwrite"
)

// internal/cmdline's table is the only source of flags: help, manual and completions
// must list exactly these.
func TestFlagsAgree(t *testing.T) {
	var want []string
	for _, f := range cmdline.Flags {
		want = append(want, "--"+f.Long)
		if f.Short != 0 {
			want = append(want, "-"+string(rune(f.Short)))
		}
	}
	want = sorted(want)
	listed := map[string][]string{
		"--help":        flagsOf(string(printed(t, "--help"))),
		"fusermount3.1": manualItems(t, "fusermount3.1", "Fl", "DESCRIPTION"),
	}
	home := fusetest.Dir(t, user())
	for _, sh := range shells {
		listed[sh.name] = offered(t, sh, home, "fusermount3 -")
	}
	agree(t, want, listed)
}

// Likewise for mount options and the table of internal/mountopts.
func TestOptionsAgree(t *testing.T) {
	listed := map[string][]string{
		"fusermount3.1": slices.DeleteFunc(manualItems(t, "fusermount3.1", "Cm", "MOUNT OPTIONS"), func(name string) bool { return name == "x-" }),
	}
	home := fusetest.Dir(t, user())
	for _, sh := range shells {
		for _, option := range offered(t, sh, home, "fusermount3 -o ro,") {
			listed[sh.name] = append(listed[sh.name], strings.TrimPrefix(option, "ro,"))
		}
		if sh.name == "zsh" {
			listed[sh.name] = append(listed[sh.name], "ro", "rw") // no longer offered
		}
	}
	agree(t, sorted(optwrite.Names()), listed)
}

func agree(t *testing.T, want []string, listed map[string][]string) {
	t.Helper()
	for where, names := range listed {
		if got := sorted(names); !reflect.DeepEqual(got, want) {
			t.Errorf("%s has\n%q, and the program\n%q", where, got, want)
		}
	}
}

// sorted returns the names without values, in order, each once.
func sorted(names []string) (all []string) {
	for _, name := range names {
		name, _, _ = strings.Cut(strings.Replace(name, "[=", "=", 1), "=")
		all = append(all, name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func flagsOf(help string) (names []string) {
	for _, m := range regexp.MustCompile(`(?m)^ +(-.*?)(  |$)`).FindAllStringSubmatch(help, -1) {
		for part := range strings.SplitSeq(m[1], ", ") {
			names = append(names, strings.Fields(part)[0])
		}
	}
	return names
}

// manualItems returns what a section of a manual lists with a macro: the flags -u
// and --unmount in ".It Fl u , Fl -unmount".
func manualItems(t *testing.T, page, macro, section string) (names []string) {
	t.Helper()
	name := regexp.MustCompile(`\b` + macro + ` (\S+)`)
	for line := range strings.Lines(sectionOf(t, page, section)) {
		if !strings.HasPrefix(line, ".It "+macro+" ") {
			continue
		}
		for _, m := range name.FindAllStringSubmatch(line, -1) {
			if macro == "Fl" {
				m[1] = "-" + m[1]
			}
			names = append(names, m[1])
		}
	}
	return names
}
