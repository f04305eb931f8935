package docs

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-fusermount/fusermount/internal/cmdline"
	"github.com/go-fusermount/fusermount/internal/fuseconf"
	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

var pages = []string{"fusermount3.1", "fusectl.1", "fuse.conf.5", "fusermountd.8"}

func page(name string) string { return filepath.Join("../../packaging/man", name) }

// sectionOf returns the source of one section of a page.
func sectionOf(t *testing.T, name, section string) string {
	t.Helper()
	_, rest, found := strings.Cut(helpertest.ReadFile(t, page(name)), "\n.Sh "+section+"\n")
	if !found {
		t.Fatalf("%s has no section %s", name, section)
	}
	text, _, _ := strings.Cut(rest, "\n.Sh ")
	return text
}

// mandoc finds nothing to correct. It cannot know the pages of other packages, and
// that this program is for Linux only.
func TestLint(t *testing.T) {
	known := regexp.MustCompile(`referenced manual not found: |operating system explicitly specified: Os Linux`)
	for _, name := range pages {
		for line := range strings.Lines(lint(t, page(name))) {
			if strings.TrimSpace(line) != "" && !known.MatchString(line) {
				t.Error(line)
			}
		}
	}
}

func lint(t *testing.T, path string) string {
	t.Helper()
	program, err := exec.LookPath("mandoc")
	if err != nil {
		fusetest.Skip(t, "install mandoc: 'make test-manuals' does, as root on Debian")
	}
	out, err := exec.Command(program, "-T", "lint", path).Output()
	if err != nil && len(out) == 0 {
		t.Fatal(err)
	}
	return string(out)
}

// man shows the pages from the source tree without warnings.
func TestMan(t *testing.T) {
	program, err := exec.LookPath("man")
	if err != nil {
		fusetest.Skip(t, "install man-db: 'make test-manuals' does, as root on Debian")
	}
	for _, name := range pages {
		cmd := exec.Command(program, "--warnings", "./"+name)
		cmd.Dir = filepath.Dir(page(name))
		cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "MANWIDTH=80"}
		var complaints strings.Builder
		cmd.Stderr = &complaints
		out, err := cmd.Output()
		if err != nil || complaints.Len() > 0 || !strings.Contains(string(out), "\nSEE ALSO\n") {
			t.Errorf("%s: %v: %s%s", name, err, complaints.String(), out)
		}
	}
}

// Our own pages exist if another page refers to them.
func TestReferences(t *testing.T) {
	for _, name := range pages {
		for _, m := range regexp.MustCompile(`(?m)^\.Xr (fuse\S*) ([158])\b`).FindAllStringSubmatch(helpertest.ReadFile(t, page(name)), -1) {
			if other := m[1] + "." + m[2]; !slices.Contains(pages, other) {
				t.Errorf("%s refers to %s", name, other)
			}
		}
	}
}

// placeholders stand for the variable parts of messages in DIAGNOSTICS.
var placeholders = regexp.MustCompile(`PATH|OPTION|TYPE|TEXT|WHY|\bN\b|0xN`)

// A test of the program expects each message of DIAGNOSTICS.
func TestDiagnostics(t *testing.T) {
	var expected strings.Builder
	for _, pattern := range []string{"../../testdata/script/*.txt", "../conformance/*_test.go", "../../internal/*/*_test.go", "../../cmd/*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, file := range files {
			expected.WriteString(helpertest.ReadFile(t, file))
		}
	}
	tests := strings.ReplaceAll(expected.String(), "''", "'") // as scripts quote
	for _, name := range pages {
		found := 0
		for _, m := range regexp.MustCompile(`(?m)^\.It ([^A-Z].*)$`).FindAllStringSubmatch(sectionOf(t, name, "DIAGNOSTICS"), -1) {
			found++
			words := placeholders.Split(m[1], -1)
			for i := range words {
				words[i] = regexp.QuoteMeta(words[i])
			}
			if !regexp.MustCompile(strings.Join(words, `[^\n]+`)).MatchString(tests) {
				t.Errorf("%s: no test expects %q", name, m[1])
			}
		}
		if found < 5 {
			t.Errorf("%s: only %d messages", name, found)
		}
	}
}

// The program accepts the commands of the manual.
func TestCommands(t *testing.T) {
	commands := regexp.MustCompile(`(?m)^(?:\.Dl |\$ )(fusermount3 .*)$`).FindAllStringSubmatch(helpertest.ReadFile(t, page("fusermount3.1")), -1)
	if len(commands) < 5 {
		t.Errorf("only %d commands", len(commands))
	}
	for _, m := range commands {
		if _, err := cmdline.Parse(strings.Fields(m[1])); err != nil {
			t.Errorf("%s: %v", m[1], err)
		}
	}
}

// The example of fuse.conf(5) sets what its text says.
func TestSettings(t *testing.T) {
	_, example, _ := strings.Cut(sectionOf(t, "fuse.conf.5", "EXAMPLES"), ".Bd -literal -offset indent\n")
	example, _, _ = strings.Cut(example, ".Ed")
	got, warnings, err := fuseconf.Parse(example)
	if want := (fuseconf.Settings{MountMax: 200, UserAllowOther: true}); err != nil || len(warnings) > 0 || got != want {
		t.Errorf("%q: %+v, %q, %v", example, got, warnings, err)
	}
}
