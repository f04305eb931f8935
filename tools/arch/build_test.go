package arch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The linker gets the settings of the Go runtime as one string: what the Makefile
// gives replaces what the source asks for, so it has to say all of that.
func TestRuntimeSettings(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(root, "cmd/fusermount/main.go"))
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	const variable = "GODEBUGS := "
	_, given, _ := strings.Cut(string(makefile), "\n"+variable)
	given, _, _ = strings.Cut(given, "\n")
	found := 0
	for line := range strings.Lines(string(source)) {
		setting, ok := strings.CutPrefix(strings.TrimSpace(line), "//go:debug ")
		if !ok {
			continue
		}
		found++
		if !strings.Contains(","+given+",", ","+setting+",") {
			t.Errorf("%s%q lacks %s", variable, given, setting)
		}
	}
	if found == 0 {
		t.Error("main.go has no settings")
	}
}
