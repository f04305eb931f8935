//go:build linux

package fusermount_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
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
				serve(t, m, fuseserver.Options{})
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
	s, err := fuseserver.Mount(dir, hello, fuseserver.MountOptions{UID: w.uid, GID: w.uid})
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
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil { // another process
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
		serve(t, m, fuseserver.Options{})
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
		s := serve(t, m, fuseserver.Options{})
		release := busy(t, w, dir)
		if err := w.unmount(t, m, fusermount.UnmountLazy); err != nil {
			t.Fatal(err)
		}
		wantNothing(t, dir)
		if s.Mode() == fuseserver.Dead {
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
		for name, break_ := range map[string]func(s *fuseserver.Server) error{
			"dead":   (*fuseserver.Server).Close,
			"hung":   func(s *fuseserver.Server) error { s.Hang(); return nil },
			"frozen": nil,
		} {
			m, dir := w.mount(t, nil)
			s := serve(t, m, fuseserver.Options{HangBeforeInit: break_ == nil})
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

// busy keeps a mount busy until it is released.
func busy(t *testing.T, w way, dir string) (release func()) {
	t.Helper()
	fd := -1
	err := as(w.uid, func() (err error) {
		fd, err = unix.Open(dir, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := unix.Close(fd); err != nil {
			t.Error(err)
		}
	}
}

func TestUnmountBusy(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		m, dir := w.mount(t, nil)
		s := serve(t, m, fuseserver.Options{})
		release := busy(t, w, dir)
		e := wantError(t, w.unmount(t, m), unix.EBUSY)
		if e.Op != "unmount" || e.Path != dir || (e.Helper == "") != w.direct || errors.Is(e, fusermount.ErrCovered) {
			t.Errorf("%+v", e)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		options := &fusermount.UnmountOptions{Policy: fusermount.UnmountRetry}
		if w.direct || w.service != nil {
			time.AfterFunc(100*time.Millisecond, cancel)
		} else {
			options.Helper = thirdTime(t, w, cancel)
		}
		err := as(w.uid, func() error { return m.Unmount(ctx, options) })
		wantError(t, err, unix.EBUSY, context.Canceled)
		mounted(t, dir)

		time.AfterFunc(50*time.Millisecond, release)
		if err := w.unmount(t, m, fusermount.UnmountRetry); err != nil {
			t.Error(err)
		}
		wantNothing(t, dir)
		select {
		case <-s.Done():
		case <-time.After(patience):
			t.Error("the daemon goes on")
		}
	})
}

// thirdTime is a way's helper that calls f when it is run for the third time.
func thirdTime(t *testing.T, w way, f func()) (helper string) {
	t.Helper()
	dir := fusetest.Dir(t, w.uid)
	script, log := filepath.Join(dir, "helper"), filepath.Join(dir, "log")
	text := "#!/bin/sh\necho >>" + log + "\nexec " + w.o.Helper + " \"$@\"\n"
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		defer f()
		for t.Context().Err() == nil {
			if lines, err := os.ReadFile(log); err == nil && len(lines) >= 3 {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	t.Cleanup(func() { <-over })
	return script
}

// What a helper has done counts, and not how it ended.
func TestUnmountEndsBadly(t *testing.T) {
	fake := fakeHelper(t, "umount-fail")
	dir := fusetest.Dir(t, 0)
	m := mountAs(t, 0, dir, &fusermount.Options{Helper: ours(t), Method: fusermount.MethodHelper})
	if err := m.Unmount(within(t), &fusermount.UnmountOptions{Helper: fake}); err != nil {
		t.Error(err)
	}
	wantNothing(t, dir)
	mute := fakeHelper(t, "mute")
	m = mountAs(t, 0, dir, &fusermount.Options{Helper: ours(t), Method: fusermount.MethodHelper})
	wantError(t, m.Unmount(within(t), &fusermount.UnmountOptions{Helper: mute}))
	mounted(t, dir)
}

// A policy that there is not is no other one.
func TestUnmountBadPolicy(t *testing.T) {
	m, dir := way{}.mount(t, nil)
	for _, o := range []*fusermount.UnmountOptions{
		{Policy: -1}, {Policy: fusermount.UnmountLazy + 1}, {Method: -1}, {Method: fusermount.MethodService + 1},
	} {
		wantError(t, m.Unmount(within(t), o), unix.EINVAL)
		wantError(t, fusermount.Unmount(within(t), dir, o), unix.EINVAL)
	}
	mounted(t, dir)
}

// Two unmounts of one mount in the same process at the same moment do not take
// away what lies beneath.
func TestUnmountAtOnce(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		if strings.HasSuffix(t.Name(), "/C/user") || w.service != nil {
			return // they do not mount over this one: its ids may not look into it, and it takes no new file
		}
		dir := fusetest.Dir(t, w.uid)
		below := mountAs(t, w.uid, dir, w.with(nil))
		serve(t, below, fuseserver.Options{})
		check := wantNoLeak(t)
		rounds := 10
		if w.direct { // there the moment is short
			rounds = 300
		}
		for range rounds {
			m := mountAs(t, w.uid, dir, w.with(nil))
			errs := atOnce(w, func() error { return m.Unmount(within(t), nil) }, m.Close)
			if errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil || errors.Is(err, fusermount.ErrNotMounted) }); len(errs) > 0 {
				t.Error(errs)
			}
			if lines := fusetest.MountsAt(t, dir); len(lines) != 1 {
				t.Fatalf("%+v", lines)
			}
		}
		check()
	})
}

// atOnce calls all as a user, and gives their errors.
func atOnce(w way, calls ...func() error) []error {
	errs := make([]error, len(calls))
	start := make(chan struct{})
	var all sync.WaitGroup
	for i, call := range calls {
		all.Add(1)
		go func() {
			defer all.Done()

			errs[i] = as(w.uid, func() error {
				<-start
				return call()
			})
		}()
	}
	close(start)
	all.Wait()
	return errs
}

// All may be called at once. There is something to see under the race detector
// only.
func TestAtOnce(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		for range 10 {
			m, dir := w.mount(t, func(o *fusermount.Options) { o.Logger, _ = logger() })
			release := pinned(t, dir)
			unmount := func() error { return m.Unmount(within(t), nil) }
			for _, err := range atOnce(w, unmount, unmount) {
				wantError(t, err, unix.EBUSY)
			}
			release()
			look := func() error {
				m.ID()
				m.File()
				m.Done()
				return nil
			}
			for _, err := range atOnce(w, look, m.Close, look, m.Close) {
				if err != nil {
					t.Error(err)
				}
			}
		}
	})
}

// What a helper writes that fails to unmount is in the error, and is not logged.
func TestLogUnmount(t *testing.T) {
	withHelpers(t, func(t *testing.T, helper string) {
		log, logged := logger()
		w := way{o: fusermount.Options{Helper: helper, Method: fusermount.MethodHelper}}
		m, dir := w.mount(t, func(o *fusermount.Options) { o.Logger = log })
		release := pinned(t, dir)
		if e := wantError(t, w.unmount(t, m), unix.EBUSY); len(e.Messages) == 0 || strings.Contains(logged.String(), warned) {
			t.Errorf("%q; logged %q", e.Messages, logged.String())
		}
		release()
	})
}

// pinned keeps a mount busy that is not served.
func pinned(t *testing.T, dir string) (release func()) {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return func() { closeFds(t, fd) }
}
