package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// bom is what cyclonedx-gomod says of a program with one module.
func bom(program, module, hash string) string {
	return `{"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
"metadata": {"component": {"bom-ref": "` + project + `#cmd/` + program + `", "type": "application", "name": "` + project + `", "version": "1.2.3"},
  "properties": [{"name": "cdx:gomod:binary:hash:` + hash + `", "value": "` + program + `'s hash"}]},
"components": [{"bom-ref": "` + module + `", "type": "library", "name": "` + module + `", "version": "v1.0.0"}],
"dependencies": [{"ref": "` + project + `#cmd/` + program + `", "dependsOn": ["` + module + `"]}]}`
}

func merged(t *testing.T, texts ...string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	var files []string
	for i, text := range texts {
		file := filepath.Join(dir, string(rune('a'+i)))
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	out := filepath.Join(dir, "out")
	if err := run(out, files); err != nil {
		return "", err
	}
	text, err := os.ReadFile(out)
	return string(text), err
}

func TestMerge(t *testing.T) {
	got, err := merged(t, bom("fusectl", "github.com/spf13/pflag", "SHA-256"), bom("fusermount", "std", "SHA-256"))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int{
		`"name": "go-fusermount"`: 1, `"name": "fusectl"`: 1, `"name": "fusermount"`: 1,
		`"name": "std"`: 1, `"name": "github.com/spf13/pflag"`: 1,
		`"id": "BSD-3-Clause"`: 5, "fusectl's hash": 1, "fusermount's hash": 1,
	} {
		if n := strings.Count(got, text); n != want {
			t.Errorf("%s is there %d times, want %d:\n%s", text, n, want, got)
		}
	}
}

func TestMergeRefuses(t *testing.T) {
	for want, text := range map[string]string{
		"the licence of example.org/new is not known": bom("fusectl", "example.org/new", "SHA-256"),
		"no hash of ":                       bom("fusectl", "std", "MD5"),
		"it names no program or no modules": `{"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1}`,
	} {
		if _, err := merged(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
