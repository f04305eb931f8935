//go:build linux

package fusermount_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// fusectl mounts the kernel's control files, for the tests alone, or takes them
// away.
func fusectl(t *testing.T, there bool) {
	t.Helper()
	const path = "/sys/fs/fuse/connections"
	for unix.Unmount(path, unix.MNT_DETACH) == nil { // the stage may have one
	}
	if !there {
		return
	}
	if err := unix.Mount("fusectl", path, "fusectl", 0, ""); err != nil {
		fusetest.Skip(t, "run it as root: fusectl cannot be mounted: "+err.Error())
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

func init() {
	jobs["abort"] = func(args []string) error { return fusermount.Abort(ctxOfJob(), args[0]) }
}

// A connection is aborted though its daemon hangs, by its owner with fusectl and
// by root without it.
func TestAbort(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		fusectl(t, w.uid != 0)
		for name, abort := range map[string]func(m *fusermount.Mounted, dir string) error{
			"Mounted": func(m *fusermount.Mounted, _ string) error { return m.Abort(within(t)) },
			"path":    func(_ *fusermount.Mounted, dir string) error { return fusermount.Abort(within(t), dir) },
		} {
			m, dir := w.mount(t, nil)
			s := serve(t, m, fuseserver.Options{})
			s.Hang()
			waits := make(chan error, 1)
			go func() {
				waits <- as(w.uid, func() error {
					var st unix.Stat_t
					return unix.Stat(filepath.Join(dir, "hello"), &st)
				})
			}()
			eventually(t, "somebody waits", func() bool { return s.Count(fuseserver.OpLookup)+s.Count(fuseserver.OpGetattr) > 0 })
			if err := as(w.uid, func() error { return abort(m, dir) }); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if err := <-waits; !errors.Is(err, unix.ECONNABORTED) && !errors.Is(err, unix.ENOTCONN) {
				t.Errorf("%s: who waited has %v", name, err)
			}
			mounted(t, dir)
			<-s.Done()
			if err := w.unmount(t, m); err != nil {
				t.Error(err)
			}
			wantError(t, as(w.uid, func() error { return fusermount.Abort(within(t), dir) }), fusermount.ErrNotMounted)
		}
	})
}

// Root of a user namespace has no fusectl. The mount stays there as well.
func TestAbortWithoutControl(t *testing.T) {
	fusetest.NeedDevice(t)
	fusectl(t, false)
	m, dir := way{}.mount(t, nil)
	s := serve(t, m, fuseserver.Options{})
	call := jobCall(t, 0, "abort", dir)
	call.Deny = helpertest.Deny(unix.EPERM, "fsopen")
	doJob(t, call)
	<-s.Done()
	mounted(t, dir)
}

// A mount is aborted by its owner and root alone.
func TestAbortForeign(t *testing.T) {
	fusetest.NeedRoot(t)
	w := way{uid: user, o: fusermount.Options{Helper: ours(t)}}
	m, dir := w.mount(t, nil)
	serve(t, m, fuseserver.Options{})
	fusectl(t, false)
	e := wantError(t, as(user, func() error { return fusermount.Abort(within(t), dir) }))
	if !strings.Contains(e.Error(), "fusectl") {
		t.Error(e)
	}
	fusectl(t, true)
	wantError(t, as(other, func() error { return fusermount.Abort(within(t), dir) }), fs.ErrPermission)
	wantServed(t, user, dir)
}

// Who aborts a mount that is gone does nothing to the one that has its number by
// now.
func TestAbortGone(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		fusectl(t, w.uid != 0)
		m, dir := w.mount(t, nil)
		for range 2 { // its number is free, and is used again
			if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
				t.Fatal(err)
			}
			wantError(t, as(w.uid, func() error { return m.Abort(within(t)) }), fusermount.ErrNotMounted)
			next := mountAs(t, w.uid, dir, w.with(nil))
			serve(t, next, fuseserver.Options{})
			if next.Info().Connection != m.Info().Connection {
				t.Logf("connection %d, and before %d", next.Info().Connection, m.Info().Connection)
			}
			wantError(t, as(w.uid, func() error { return m.Abort(within(t)) }), fusermount.ErrNotMounted)
			wantServed(t, w.uid, dir)
		}
	})
}

// After a lazy unmount the connection is there as long as it is used; without
// fusectl it could not be reached.
func TestAbortDetached(t *testing.T) {
	fusetest.NeedRoot(t)
	ways(t, func(t *testing.T, w way) {
		fusectl(t, w.uid != 0)
		m, dir := w.mount(t, nil)
		s, err := handOn(m.File(), fuseserver.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		ready(t, s)
		defer busy(t, w, dir)()
		if err := w.unmount(t, m, fusermount.UnmountLazy); err != nil {
			t.Fatal(err)
		}
		if err := as(w.uid, func() error { return m.Abort(within(t)) }); err != nil {
			t.Error(err)
		}
		<-s.Done()
		wantError(t, as(w.uid, func() error { return m.Abort(within(t)) }), fusermount.ErrNotMounted)
	})
}
