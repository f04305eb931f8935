package fusermount_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// Somebody's mount on top of ours stays, and ours beneath it.
func TestUnmountCovered(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		for name, cover := range map[string]func(t *testing.T, dir string) error{
			"FUSE":  func(t *testing.T, dir string) error { return coverWithFuse(t, w, dir) },
			"tmpfs": func(_ *testing.T, dir string) error { return unix.Mount("cover", dir, "tmpfs", 0, "") },
		} {
			t.Run(name, func(t *testing.T) {
				m, dir := w.mount(t, nil)
				serve(t, m, fusetest.Options{})
				if err := cover(t, dir); err != nil {
					t.Fatal(err)
				}
				before := fusetest.MountsAt(t, dir)
				for _, policy := range []fusermount.UnmountPolicy{fusermount.UnmountFail, fusermount.UnmountLazy} {
					wantError(t, w.unmount(t, m, policy), fusermount.ErrCovered, unix.EBUSY)
				}
				if now := fusetest.MountsAt(t, dir); len(now) != len(before) || len(now) != 2 || now[1].ID != before[1].ID {
					t.Errorf("%+v\nbefore %+v", now, before)
				}
				select {
				case <-m.Done():
					t.Error("done")
				default:
				}
				if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil { // the cover
					t.Fatal(err)
				}
				if err := w.unmount(t, m); err != nil {
					t.Error(err)
				}
				wantNothing(t, dir)
			})
		}
	})
}

// coverWithFuse mounts another file system of the same user's on top.
func coverWithFuse(t *testing.T, w way, dir string) error {
	t.Helper()
	s, err := fusetest.Mount(dir, hello, fusetest.MountOptions{UID: w.uid, GID: w.uid})
	if err == nil {
		t.Cleanup(func() { _ = s.Close() })
		ready(t, s)
	}
	return err
}

// A new mount at the same place is not ours.
func TestUnmountReplaced(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		m, dir := w.mount(t, nil)
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil { // somebody else
			t.Fatal(err)
		}
		next := mountAs(t, w.uid, dir, w.with(nil))
		for _, policy := range []fusermount.UnmountPolicy{fusermount.UnmountFail, fusermount.UnmountLazy, fusermount.UnmountRetry} {
			wantError(t, w.unmount(t, m, policy), fusermount.ErrNotMounted)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		mounted(t, dir)
		if next.ID() == m.ID() {
			t.Errorf("both have id %d", m.ID())
		}
		if err := w.unmount(t, next); err != nil {
			t.Error(err)
		}
	})
}

// The mount is found where it was moved to.
func TestUnmountMoved(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		m, dir := w.mount(t, nil)
		serve(t, m, fusetest.Options{})
		next := filepath.Join(fusetest.Dir(t, w.uid), "next")
		if err := errors.Join(os.Mkdir(next, 0o700), os.Chown(next, int(w.uid), int(w.uid)), unix.Mount(dir, next, "", unix.MS_MOVE, "")); err != nil {
			t.Fatal(err)
		}
		if err := w.unmount(t, m); err != nil {
			t.Error(err)
		}
		wantNothing(t, next)
	})
}

func TestUnmountLazy(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		m, dir := w.mount(t, nil)
		s := serve(t, m, fusetest.Options{})
		release := busy(t, w, dir)
		if err := w.unmount(t, m, fusermount.UnmountLazy); err != nil {
			t.Fatal(err)
		}
		wantNothing(t, dir)
		if s.Mode() == fusetest.Dead {
			t.Error("it is still in use, and served no more")
		}
		release()
		<-s.Done()
	})
}

// Neither a dead daemon nor one that hangs keeps a mount from being unmounted,
// nor is it asked.
func TestUnmountDeadOrHung(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		for name, break_ := range map[string]func(s *fusetest.Server) error{
			"dead":   (*fusetest.Server).Close,
			"hung":   func(s *fusetest.Server) error { s.Hang(); return nil },
			"frozen": nil,
		} {
			m, dir := w.mount(t, nil)
			s := serve(t, m, fusetest.Options{HangBeforeInit: break_ == nil})
			if break_ != nil {
				if err := break_(s); err != nil {
					t.Fatal(err)
				}
			}
			err := as(w.uid, func() error {
				return fusermount.Unmount(within(t), dir, &fusermount.UnmountOptions{Helper: w.o.Helper})
			})
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			wantNothing(t, dir)
			if asked := s.Asked(); len(asked) > 0 {
				t.Errorf("%s: asked %v", name, asked)
			}
		}
	})
}

// What is not mounted, not FUSE or not the caller's is left alone.
func TestUnmountPath(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		dir := fusetest.Dir(t, w.uid)
		unmount := func(path string) error {
			return as(w.uid, func() error {
				return fusermount.Unmount(within(t), path, &fusermount.UnmountOptions{Helper: w.o.Helper})
			})
		}
		wantError(t, unmount(dir), fusermount.ErrNotMounted)
		wantError(t, unmount(dir+"/absent"), fusermount.ErrNotMounted, unix.ENOENT)
		dangling := filepath.Join(fusetest.Dir(t, 0), "dangling")
		if err := os.Symlink("absent", dangling); err != nil {
			t.Fatal(err)
		}
		wantError(t, unmount(dangling), fusermount.ErrNotMounted, unix.ENOENT)
		if err := unix.Mount("x", dir, "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		e := wantError(t, unmount(dir), fusermount.ErrNotMounted)
		if mounted(t, dir); !strings.Contains(e.Error(), "tmpfs") {
			t.Error(e)
		}
		link := filepath.Join(fusetest.Dir(t, 0), "link")
		m, mountpoint := w.mount(t, nil)
		if err := os.Symlink(mountpoint, link); err != nil {
			t.Fatal(err)
		}
		if err := unmount(link); err != nil {
			t.Error(err)
		}
		wantNothing(t, mountpoint)
		wantError(t, w.unmount(t, m), fusermount.ErrNotMounted)
	})
}

// Another user's mount.
func TestUnmountForeign(t *testing.T) {
	withHelpers(t, func(t *testing.T, helper string) {
		fusetest.NeedRoot(t)
		w := way{uid: user, o: fusermount.Options{Helper: helper}}
		m, dir := w.mount(t, nil)
		err := as(other, func() error { return fusermount.Unmount(within(t), dir, &fusermount.UnmountOptions{Helper: helper}) })
		if e := wantError(t, err); e.ExitStatus != 1 || e.Helper != helper {
			t.Errorf("%+v", e)
		}
		mounted(t, dir)
		if err := m.Unmount(within(t), nil); err != nil { // root may
			t.Error(err)
		}
	})
}
