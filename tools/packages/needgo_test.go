package packages

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// "make build" says in one line that go is missing or too old.
func TestNeedGo(t *testing.T) {
	for _, c := range []struct {
		version string // empty: there is no go
		env     string // what "go env" does
		want    string
	}{
		{version: "1.19.8", env: "echo go1.19.8", want: "is Go 1.19.8"},
		{version: "1.23.4", env: "exit 1", want: "is Go 1.23.4"}, // with GOTOOLCHAIN=local
		{version: "1.99.0", env: "echo go1.99.0"},
		{want: "there is no go in PATH"},
	} {
		dir := t.TempDir()
		if c.version != "" {
			script := fmt.Sprintf("#!/bin/sh\ncase $1 in env) %s ;; version) echo go version go%s linux/amd64 ;; esac\n", c.env, c.version)
			if err := os.WriteFile(filepath.Join(dir, "go"), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"sed", "sort", "head", "dirname"} {
			path, err := exec.LookPath(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command("/bin/sh", "../../testdata/need-go.sh")
		cmd.Env = []string{"PATH=" + dir}
		out, err := cmd.CombinedOutput()
		if text := string(out); (err == nil) != (c.want == "") || !strings.Contains(text, c.want) || strings.Count(text, "\n") > 1 {
			t.Errorf("go %s: %v, %q; want %q", c.version, err, text, c.want)
		}
	}
}
