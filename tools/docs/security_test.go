package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// SECURITY.md names a test for each attack. All of them exist, and so do the packages,
// scripts and files that it names.
func TestSecurityNames(t *testing.T) {
	const root = "../.."
	tests, files := map[string]bool{}, map[string]bool{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[d.Name()] = true
		if strings.HasSuffix(path, "_test.go") {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range function.FindAllSubmatch(text, -1) {
				tests[string(m[1])] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, m := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(string(text), -1) {
		name, found := m[1], true
		switch {
		case regexp.MustCompile(`^(Test|Fuzz)\w+$`).MatchString(name):
			found = tests[name]
		case regexp.MustCompile(`^[\w-]+\.(txt|h)$|_test\.go$`).MatchString(name):
			found = files[filepath.Base(name)] || strings.Contains(name, "*")
		case regexp.MustCompile(`^(internal|tools|testdata|packaging)/[^*]*$`).MatchString(name):
			_, err := os.Stat(filepath.Join(root, name))
			found = err == nil
		default:
			continue
		}
		named++
		if !found {
			t.Errorf("SECURITY.md names %s, which does not exist", name)
		}
	}
	if named < 100 {
		t.Errorf("SECURITY.md names only %d tests and files", named)
	}
}
