//go:build linux

package resolve

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestPath(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	sub := filepath.Join(dir, "sub")
	if err := errors.Join(os.Mkdir(sub, 0o700), os.Symlink("sub", sub+".link"), os.Symlink("absent", dir+"/dangling")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(sub)
	for path, want := range map[string]string{
		".": sub, "./": sub, "..": dir, "../sub": "../sub", "../sub/..": dir, "../../" + filepath.Base(dir) + "/..": filepath.Dir(dir),
		sub + "/": sub, sub + "//./": sub, sub + ".link": sub, sub + ".link/": sub, sub + ".link/..": dir,
		"/": "/", "/..": "/", "absent/": "absent", "": "",
	} {
		if got, err := Path(path); got != want || err != nil {
			t.Errorf("%q: %q, %v; want %q", path, got, err, want)
		}
	}
	if got, err := Path(dir + "/dangling"); err == nil {
		t.Errorf("dangling: %q", got)
	}
	if err := os.Remove(sub); err != nil {
		t.Fatal(err)
	}
	if got, err := Path("."); err == nil {
		t.Errorf("deleted: %q", got)
	}
}

func TestLookedUp(t *testing.T) {
	for path, want := range map[string]string{"a/": "a", "a/..": "a", "a/b/../..": "a/b", "..": ".", "/": "/", ".": "."} {
		if got := LookedUp(path); got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}
