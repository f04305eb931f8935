package fusermount_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// way is one way to mount: by whom, and by what.
type way struct {
	uid    uint32
	direct bool
	o      fusermount.Options
}

// ways runs a test in each way that there is.
func ways(t *testing.T, test func(t *testing.T, w way)) {
	t.Run("direct", func(t *testing.T) {
		fusetest.NeedDevice(t)
		test(t, way{direct: true})
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
		if m.Info().Direct != w.direct || m.Mountpoint() != dir || m.Info().SyncInit || m.Fd() != int(m.File().Fd()) {
			t.Errorf("direct %v, on %s, sync %v, descriptor %d", m.Info().Direct, m.Mountpoint(), m.Info().SyncInit, m.Fd())
		}
		wantIdentity(t, w, m, line)
		serve(t, m, fusetest.Options{})
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
