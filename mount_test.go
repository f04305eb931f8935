//go:build linux

package fusermount_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// way is one way to mount: by whom, and by what.
type way struct {
	uid     uint32
	direct  bool
	service *helpertest.Service // nil: not asked
	o       fusermount.Options
}

// ways runs a test in each way that there is.
func ways(t *testing.T, test func(t *testing.T, w way)) {
	t.Run("direct", func(t *testing.T) {
		fusetest.NeedDevice(t)
		test(t, way{direct: true})
	})
	t.Run("service", func(t *testing.T) {
		fusetest.NeedRoot(t)
		service := helpertest.StartService(t)
		t.Setenv("FUSERMOUNT_SOCKET", service.Socket)
		test(t, way{uid: user, service: service, o: fusermount.Options{Method: fusermount.MethodService}})
	})
	withHelpers(t, func(t *testing.T, helper string) {
		t.Run("root", func(t *testing.T) {
			test(t, way{o: fusermount.Options{Helper: helper, Method: fusermount.MethodHelper}})
		})
		t.Run("user", func(t *testing.T) {
			fusetest.NeedRoot(t)
			test(t, way{uid: user, o: fusermount.Options{Helper: helper}})
		})
	})
}

// with gives the way's options with more set.
func (w way) with(set func(o *fusermount.Options)) *fusermount.Options {
	o := w.o
	if set != nil {
		set(&o)
	}
	return &o
}

func (w way) mount(t *testing.T, set func(o *fusermount.Options)) (*fusermount.Mounted, string) {
	t.Helper()
	dir := fusetest.Dir(t, w.uid)
	return mountAs(t, w.uid, dir, w.with(set)), dir
}

// unmount unmounts as the same user, by a policy or the default one.
func (w way) unmount(t *testing.T, m *fusermount.Mounted, policy ...fusermount.UnmountPolicy) error {
	t.Helper()
	var opts *fusermount.UnmountOptions
	if len(policy) > 0 {
		opts = &fusermount.UnmountOptions{Policy: policy[0]}
	}
	return as(w.uid, func() error { return m.Unmount(within(t), opts) })
}

func TestMount(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		check := wantNoLeak(t)
		m, dir := w.mount(t, nil)
		line := mounted(t, dir)
		if line.FSType != "fuse" || line.Source != "/dev/fuse" || !line.HasOption(fmt.Sprintf("user_id=%d", w.uid)) ||
			!line.HasOption("nosuid") || !line.HasOption("nodev") || !line.HasOption("rw") {
			t.Errorf("%+v", line)
		}
		if m.Info().Direct != w.direct || m.Mountpoint() != dir || m.Info().SyncInit {
			t.Errorf("direct %v, on %s, sync %v", m.Info().Direct, m.Mountpoint(), m.Info().SyncInit)
		}
		wantIdentity(t, w, m, line)
		serve(t, m, fuseserver.Options{})
		wantServed(t, w.uid, dir)
		if err := w.unmount(t, m); err != nil {
			t.Fatal(err)
		}
		wantNothing(t, dir)
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		check()
	})
}

// wantIdentity compares what m says of itself with the kernel.
func wantIdentity(t *testing.T, w way, m *fusermount.Mounted, line fusetest.Line) {
	t.Helper()
	var st unix.Statx_t
	err := as(w.uid, func() error {
		return unix.Statx(unix.AT_FDCWD, line.Mountpoint, unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID_UNIQUE, &st)
	})
	if err != nil || st.Mnt_id != m.ID() {
		t.Errorf("id %d, the kernel says %d, %v", m.ID(), st.Mnt_id, err)
	}
	if _, minor, _ := strings.Cut(line.Device, ":"); fmt.Sprint(m.Info().Connection) != minor {
		t.Errorf("connection %d, device %s", m.Info().Connection, line.Device)
	}
}

// wantServed reads a file as the mount's owner.
func wantServed(t *testing.T, uid uint32, dir string) {
	t.Helper()
	err := as(uid, func() error {
		fd, err := unix.Open(filepath.Join(dir, "hello"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		buf := make([]byte, 64)
		n, err := unix.Read(fd, buf)
		if err == nil && string(buf[:n]) != "hello, world\n" {
			err = fmt.Errorf("read %q", buf[:n])
		}
		return errors.Join(err, unix.Close(fd))
	})
	if err != nil {
		t.Error(err)
	}
}

func TestMountOnFile(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		file := filepath.Join(fusetest.Dir(t, w.uid), "file")
		if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Chown(file, int(w.uid), int(w.uid))); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{file, file + "/"} { // as helpers take it
			m := mountAs(t, w.uid, path, w.with(nil))
			mounted(t, file)
			if err := w.unmount(t, m); err != nil {
				t.Error(err)
			}
			wantNothing(t, file)
			mountAs(t, w.uid, path, w.with(nil))
			err := as(w.uid, func() error {
				return fusermount.Unmount(within(t), path, &fusermount.UnmountOptions{Helper: w.o.Helper})
			})
			if err != nil {
				t.Error(err)
			}
			wantNothing(t, file)
		}
	})
}

// A symlink to the mountpoint is followed, a relative name and one with
// characters of all kinds are taken as they are.
func TestMountpointNames(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		parent := fusetest.Dir(t, w.uid)
		t.Chdir(parent)
		for _, name := range []string{"plain", "-o", "a b\tc\nd\\e,f", "x (deleted)", "\xff\xfe"} {
			dir := filepath.Join(parent, name)
			if err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, int(w.uid), int(w.uid)), os.Symlink(name, dir+".link")); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{dir, name, dir + ".link", dir + "/.", dir + "/"} {
				m := mountAs(t, w.uid, path, w.with(nil))
				mounted(t, dir)
				if m.Mountpoint() != dir {
					t.Errorf("%q: mountpoint %q", path, m.Mountpoint())
				}
				if err := w.unmount(t, m); err != nil {
					t.Errorf("%q: %v", path, err)
				}
				wantNothing(t, dir)
			}
		}
	})
}

// A mount in the current directory, under its shortest name.
func TestMountHere(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		dir := fusetest.Dir(t, w.uid)
		t.Chdir(dir)
		m := mountAs(t, w.uid, ".", w.with(nil))
		mounted(t, dir)
		if m.Mountpoint() != dir {
			t.Errorf("mountpoint %q", m.Mountpoint())
		}
	})
}

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
			spoil    func(s *fuseserver.Server) error
			suffixes []string
		}{
			"hung": {func(s *fuseserver.Server) error { s.Hang(); return nil }, []string{"/.", "/./", "//./."}},
			"dead": {(*fuseserver.Server).Close, []string{"/."}},
		} {
			for _, suffix := range c.suffixes {
				m, dir := w.mount(t, func(o *fusermount.Options) { o.DefaultPermissions = true })
				s := serve(t, m, fuseserver.Options{})
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
	s := serve(t, mountAs(t, 0, hung, &fusermount.Options{AllowOther: true}), fuseserver.Options{})
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
