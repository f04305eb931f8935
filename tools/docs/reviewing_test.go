package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

const reviewing = "../../docs/reviewing.md"

// The commands of the page for reviewers print something, and succeed.
func TestReviewingCommands(t *testing.T) {
	if _, err := os.Stat("../../build/fusermount3"); err != nil {
		fusetest.Skip(t, "run 'make build': the page looks at what it builds")
	}
	commands := 0
	for line := range strings.Lines(helpertest.ReadFile(t, reviewing)) {
		command, found := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "    $ ")
		if !found {
			continue
		}
		commands++
		cmd := exec.Command("sh", "-euc", command)
		cmd.Dir = "../.."
		out, err := cmd.CombinedOutput()
		quiet := strings.HasPrefix(command, "!") || strings.Contains(command, "check-helper.sh")
		if err != nil || (len(out) == 0) != quiet {
			t.Errorf("%s: %v: %s", command, err, out)
		}
	}
	if commands < 8 {
		t.Errorf("the page has %d commands", commands)
	}
}

// Its table has every privileged function.
func TestReviewingNamesPrivilegedCalls(t *testing.T) {
	source := helpertest.ReadFile(t, "../../internal/mount/privileged.go")
	var want, got []string
	for _, m := range regexp.MustCompile(`(?m)^func (\w+)\(`).FindAllStringSubmatch(source, -1) {
		if m[1] != "asAdmin" {
			want = append(want, m[1])
		}
	}
	_, section, _ := strings.Cut(helpertest.ReadFile(t, reviewing), "\n## fusermount3: privileged calls\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(section, -1) {
		got = append(got, m[1])
	}
	if !slices.Equal(got, want) {
		t.Errorf("the page has %q, and the source %q", got, want)
	}
}

// Links from one page to another lead to a file, and to a heading of it.
func TestLinks(t *testing.T) {
	var files []string
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../packaging/*.md", "../../examples/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	links := 0
	for _, file := range files {
		for _, m := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(helpertest.ReadFile(t, file), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			links++
			path := file
			if target != "" {
				path = filepath.Join(filepath.Dir(file), target)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s: %s leads nowhere", file, m[1])
			} else if anchor != "" && !slices.Contains(anchors(t, path), anchor) {
				t.Errorf("%s: %s has no such heading", file, m[1])
			}
		}
	}
	if links < 20 {
		t.Errorf("only %d links were found", links)
	}
}

// anchors are the names that a forge gives to the headings of a page.
func anchors(t *testing.T, file string) (all []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(helpertest.ReadFile(t, file), -1) {
		name := regexp.MustCompile("[^a-z0-9 _-]").ReplaceAllString(strings.ToLower(m[1]), "")
		all = append(all, strings.ReplaceAll(name, " ", "-"))
	}
	return all
}
