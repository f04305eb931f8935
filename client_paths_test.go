package fusermount_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// A path with a NUL is no path, and nothing else.
func TestNUL(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		var before, after unix.Stat_t
		if err := unix.Fstat(0, &before); err != nil {
			t.Fatal(err)
		}
		again, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0) // for the other tests, should it be closed
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(again)
		for _, path := range []string{"a\x00b", "a\x00b/c"} {
			for name, call := range map[string]func() error{
				"Mount": func() error { _, err := fusermount.Mount(within(t), path, w.with(nil)); return err },
				"Unmount": func() error {
					return fusermount.Unmount(within(t), path, &fusermount.UnmountOptions{Helper: w.o.Helper})
				},
				"Abort": func() error { return fusermount.Abort(within(t), path) },
			} {
				wantError(t, as(w.uid, call), unix.EINVAL)
				if err := unix.Fstat(0, &after); err != nil || after.Ino != before.Ino || after.Dev != before.Dev {
					t.Errorf("%s: descriptor 0: %v", name, err)
					if err := unix.Dup3(again, 0, 0); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	})
}

// Of a path that ends in . or .. no daemon is asked, which may be dead or hang.
func TestUnmountDots(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		for name, c := range map[string]struct {
			spoil    func(s *fusetest.Server) error
			suffixes []string
		}{
			"hung": {func(s *fusetest.Server) error { s.Hang(); return nil }, []string{"/.", "/./", "//./."}},
			"dead": {(*fusetest.Server).Close, []string{"/."}},
		} {
			for _, suffix := range c.suffixes {
				m, dir := w.mount(t, func(o *fusermount.Options) { o.DefaultPermissions = true })
				s := serve(t, m, fusetest.Options{})
				if err := c.spoil(s); err != nil {
					t.Fatal(err)
				}
				watchdog := time.AfterFunc(soon, func() { _ = s.Close() })
				unmount := func(suffix string) error {
					return as(w.uid, func() error {
						return fusermount.Unmount(within(t), dir+suffix, &fusermount.UnmountOptions{Helper: w.o.Helper})
					})
				}
				wantError(t, unmount("/.."), fusermount.ErrNotMounted)
				wantError(t, unmount("/../."), fusermount.ErrNotMounted)
				if err := unmount(suffix); err != nil {
					t.Errorf("%s, %q: %v", name, suffix, err)
				}
				wantNothing(t, dir)
				if asked := s.Asked(); len(asked) > 0 || !watchdog.Stop() {
					t.Errorf("%s, %q: asked %v", name, suffix, asked)
				}
			}
		}
	})
}

// The context ends also while a helper is looked for in a directory whose daemon
// hangs.
func TestPathHangs(t *testing.T) {
	helper := ours(t)
	fusetest.NeedRoot(t)
	hung := fusetest.Dir(t, 0)
	s := serve(t, mountAs(t, 0, hung, &fusermount.Options{AllowOther: true}), fusetest.Options{})
	dir, next := fusetest.Dir(t, user), fusetest.Dir(t, user)
	mountAs(t, user, dir, &fusermount.Options{Helper: helper})
	t.Setenv("PATH", hung+"/bin:"+filepath.Dir(helper))
	t.Setenv("FUSERMOUNT_PROG", "")
	s.Hang()
	watchdog := time.AfterFunc(soon, s.Resume)
	for name, call := range map[string]func(ctx context.Context) error{
		"Unmount": func(ctx context.Context) error { return fusermount.Unmount(ctx, dir, nil) },
		"Mount":   func(ctx context.Context) error { _, err := fusermount.Mount(ctx, next, nil); return err },
		"a name": func(ctx context.Context) error {
			return fusermount.Unmount(ctx, dir, &fusermount.UnmountOptions{Helper: "fusermount3"})
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err := as(user, func() error { return call(ctx) })
		if cancel(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !watchdog.Stop() {
		t.Error("it waited for the daemon")
	}
	s.Resume()
	if err := as(user, func() error { return fusermount.Unmount(within(t), dir, nil) }); err != nil {
		t.Error(err)
	}
}

// A directory that was deleted is no mountpoint, nor is what has its name as the
// kernel writes it.
func TestMountDeleted(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		parent, target := fusetest.Dir(t, w.uid), fusetest.Dir(t, w.uid)
		dir := filepath.Join(parent, "d")
		if err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, int(w.uid), int(w.uid))); err != nil {
			t.Fatal(err)
		}
		t.Chdir(dir)
		fd, err := unix.Open(".", unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := errors.Join(os.Remove(dir), os.Symlink(target, dir+" (deleted)")); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{".", "./", fmt.Sprintf("/proc/self/fd/%d", fd), "/proc/self/cwd"} {
			err := as(w.uid, func() error {
				m, err := fusermount.Mount(within(t), path, w.with(nil))
				if err == nil {
					t.Errorf("%s: mounted on %s", path, m.Mountpoint())
					return m.Close()
				}
				return err
			})
			wantError(t, err, fs.ErrNotExist)
		}
		wantNothing(t, target)
	})
}
