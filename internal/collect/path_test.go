package collect

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/mount"
)

// places makes what paths lead to: d/e, links in many ways, and a hung FUSE mount
// at m.
func places(t *testing.T) (dir string, s *fuseserver.Server) {
	t.Helper()
	dir = fusetest.Dir(t, 0)
	for _, d := range []string{"d/e", "m"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"rel": "d", "abs": dir + "/d", "d/up": "../d/e", "self": "self", "a": "b", "b": "a",
		"to-m": "m", "through": "m/x/y", "dangling": "nosuch",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	s = serve(t, filepath.Join(dir, "m"), 0, fuseserver.MountOptions{Data: "default_permissions"})
	s.Hang()
	return dir, s
}

func TestFind(t *testing.T) {
	dir, s := places(t)
	t.Chdir(dir)
	links := map[string]bool{"rel": true, "abs": true, "to-m": true, "to-m/.": true, "through": true}
	for _, c := range []struct {
		path   string
		want   string // canonical; as given where it leads inside
		fuse   bool
		inside bool
	}{
		{"d/e", "/d/e", false, false},
		{dir + "//d/./e/", "/d/e", false, false},
		{"d/e/../..", "", false, false},
		{".", "", false, false},
		{"rel/e", "/d/e", false, false},
		{"abs/e", "/d/e", false, false},
		{"d/up/..", "/d", false, false},
		{"rel", "/d", false, false},
		{"abs", "/d", false, false},
		{"m", "/m", true, false},
		{"to-m", "/m", true, false},
		{"to-m/.", "/m", true, false},
		{"through", "through", true, true},
		{"m/hello", "m/hello", true, true},
		{"m/..", "m/..", true, true},
		{"to-m/x/y/z", "to-m/x/y/z", true, true},
		{"through/z", "through/z", true, true},
	} {
		got, err := Find(c.path)
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		want := c.want
		if !c.inside {
			want = dir + c.want
		}
		if got.Path != want || got.FUSE() != c.fuse || got.Inside != c.inside || got.Link != links[c.path] {
			t.Errorf("Find(%q) = %q, FUSE %v, inside %v; want %q, %v, %v", c.path, got.Path, got.FUSE(), got.Inside, want, c.fuse, c.inside)
		}
		if err := got.Close(); err != nil {
			t.Error(err)
		}
	}
	wantUnasked(t, s)
}

func TestFindNothing(t *testing.T) {
	dir, _ := places(t)
	t.Chdir(dir)
	for path, want := range map[string]mount.AccessError{
		"nosuch":     {Errno: unix.ENOENT},
		"nosuch/x":   {Errno: unix.ENOENT, Parent: true},
		"self/x":     {Errno: unix.ELOOP, Parent: true},
		"a/x":        {Errno: unix.ELOOP, Parent: true},
		"dangling":   {Errno: unix.ENOENT},
		"self":       {Errno: unix.ELOOP},
		"dangling/x": {Errno: unix.ENOENT, Parent: true},
	} {
		_, err := Find(path)
		var got *mount.AccessError
		if !errors.As(err, &got) || !errors.Is(err, want.Errno) || got.Parent != want.Parent || got.Path != path {
			t.Errorf("Find(%q): %v; want %v", path, err, want)
		}
	}
}

// enter changes the working directory until the test's end, by no name on the way
// back. Package os would note it, and go test look at it, when the daemon hangs.
func enter(t *testing.T, dir string) {
	t.Helper()
	back, err := unix.Open(".", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(unix.Fchdir(back), unix.Close(back)); err != nil {
			t.Error(err)
		}
	})
	if err := unix.Chdir(dir); err != nil {
		t.Fatal(err)
	}
}

// In a working directory that is a hung mount, too, nobody is asked.
func TestFindFromInside(t *testing.T) {
	dir, s := places(t)
	s.Resume()
	enter(t, filepath.Join(dir, "m"))
	s.Hang()
	before := len(s.Asked())
	for _, path := range []string{".", "x", "../d"} {
		got, err := Find(path)
		if err != nil || !got.FUSE() || got.Inside != (path != ".") {
			t.Errorf("Find(%q): %+v, %v", path, got, err)
			continue
		}
		if err := got.Close(); err != nil {
			t.Error(err)
		}
	}
	if asked := s.Asked(); len(asked) != before {
		t.Errorf("the daemon was asked: %v", asked)
	}
}
