package fusermount_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// executable makes programs of no content.
func executable(t *testing.T, names ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFindHelper(t *testing.T) {
	three, two, both := executable(t, "fusermount3"), executable(t, "fusermount"), executable(t, "fusermount", "fusermount3", "mine")
	plain := t.TempDir()
	if err := os.WriteFile(plain+"/fusermount3", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path, variable, want string
	}{
		"fusermount3 in PATH":              {three, "", three + "/fusermount3"},
		"fusermount in PATH":               {two, "", two + "/fusermount"},
		"fusermount3 first":                {two + ":" + three, "", three + "/fusermount3"},
		"first directory first":            {both + ":" + three, "", both + "/fusermount3"},
		"not executable":                   {plain + ":" + three, "", three + "/fusermount3"},
		"not absolute":                     {".::" + filepath.Base(two) + ":" + three, "", three + "/fusermount3"},
		"FUSERMOUNT_PROG":                  {three, two + "/fusermount", two + "/fusermount"},
		"FUSERMOUNT_PROG, a name":          {both, "mine", both + "/mine"},
		"FUSERMOUNT_PROG is absent":        {three, "/absent/fusermount3", ""},
		"FUSERMOUNT_PROG is not to be run": {three, plain + "/fusermount3", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(both) // where nobody looks
			t.Setenv("PATH", c.path)
			t.Setenv("FUSERMOUNT_PROG", c.variable)
			got, err := fusermount.FindHelper()
			var notFound *fusermount.HelperNotFoundError
			if got != c.want || (err != nil) != (c.want == "") || err != nil && !errors.As(err, &notFound) {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
		})
	}
}

// noHelper hides all helpers, and gives where they would have been.
func noHelper(t *testing.T) (searched []string) {
	t.Helper()
	names := []string{"fusermount3", "fusermount"}
	empty := t.TempDir()
	t.Setenv("PATH", empty)
	t.Setenv("FUSERMOUNT_PROG", "")
	for _, name := range names {
		searched = append(searched, filepath.Join(empty, name))
	}
	for _, dir := range []string{"/run/wrappers/bin", "/usr/local/bin", "/usr/bin", "/bin"} {
		for _, name := range names {
			searched = append(searched, filepath.Join(dir, name))
			hide(t, filepath.Join(dir, name))
		}
	}
	return searched
}

// Where there is no helper at all, the error says where one was looked for.
func TestNoHelper(t *testing.T) {
	fusetest.NeedRoot(t)
	dir := fusetest.Dir(t, user)
	searched := noHelper(t)
	mount := func(o *fusermount.Options) error {
		return as(user, func() error {
			_, err := fusermount.Mount(within(t), dir, o)
			return err
		})
	}
	for _, o := range []*fusermount.Options{nil, {AutoUnmount: true}, {Method: fusermount.MethodHelper}} {
		err := mount(o)
		wantError(t, err, fusermount.ErrHelperNotFound)
		var notFound *fusermount.HelperNotFoundError
		if !errors.As(err, &notFound) || !slices.Equal(notFound.Searched, searched) {
			t.Errorf("%v\nwant %q", err, searched)
		}
		if errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v is fs.ErrNotExist, as an absent mountpoint", err)
		}
	}
	err := mount(&fusermount.Options{Helper: "/absent"})
	if e := wantError(t, err, fusermount.ErrHelperNotFound); !strings.Contains(e.Error(), "/absent") {
		t.Error(e)
	}
	wantNothing(t, dir)

	m := mountAs(t, 0, dir, nil) // root needs none
	err = as(user, func() error { return m.Unmount(within(t), nil) })
	wantError(t, err, fusermount.ErrHelperNotFound)
	mounted(t, dir)
}

// A helper that is there and may not be executed is not merely absent.
func TestHelperNotExecutable(t *testing.T) {
	dir := fusetest.Dir(t, 0)
	helper := file(t, dir)
	_, err := fusermount.Mount(within(t), dir, &fusermount.Options{Method: fusermount.MethodHelper, Helper: helper})
	if e := wantError(t, err, fusermount.ErrHelperNotFound, fs.ErrPermission); !strings.Contains(e.Error(), helper+" may not be executed") {
		t.Error(e)
	}
	_, err = fusermount.Mount(within(t), dir, &fusermount.Options{Method: fusermount.MethodHelper, Helper: dir + "/absent"})
	if wantError(t, err, fusermount.ErrHelperNotFound); errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
}

// hide puts something that nobody can execute over a file, if there is one.
func hide(t *testing.T, path string) {
	t.Helper()
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = unix.Mount(file(t, fusetest.Dir(t, 0)), real, "", unix.MS_BIND, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(real, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// The helper of $FUSERMOUNT_PROG is run, with the environment of this process
// and one socket.
func TestHelperFromEnvironment(t *testing.T) {
	helper := ours(t)
	wrapper := filepath.Join(fusetest.Dir(t, 0), "wrapper")
	script := "#!/bin/sh\n[ \"$MINE\" = kept ] && [ -z \"$_FUSE_COMMFD2\" ] && [ \"$GOMAXPROCS\" = 1 ] && exec " + helper + " \"$@\"\necho \"$0: no\" >&2\nexit 1\n"
	if err := os.WriteFile(wrapper, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FUSERMOUNT_PROG", wrapper)
	t.Setenv("MINE", "kept")
	t.Setenv("_FUSE_COMMFD", "77")
	t.Setenv("_FUSE_COMMFD2", "78")
	t.Setenv("GOMAXPROCS", "7")
	dir := fusetest.Dir(t, 0)
	m := mountAs(t, 0, dir, &fusermount.Options{Method: fusermount.MethodHelper, FSName: "wrapped"})
	if line := mounted(t, dir); line.Source != "wrapped" || m.Info().Direct {
		t.Errorf("%+v", line)
	}
	if err := m.Unmount(within(t), nil); err != nil {
		t.Error(err)
	}
	wantNothing(t, dir)
}
