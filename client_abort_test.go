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

// fusectl mounts what Abort uses first, for the tests alone.
func fusectl(t *testing.T) {
	t.Helper()
	const path = "/sys/fs/fuse/connections"
	if err := unix.Mount("fusectl", path, "fusectl", 0, ""); err != nil {
		fusetest.Skip(t, "run it as root: fusectl cannot be mounted: "+err.Error())
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// A connection is aborted though its daemon hangs, by its owner with fusectl and
// by root without it.
func TestAbort(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		if w.uid != 0 {
			fusectl(t)
		}
		for name, abort := range map[string]func(m *fusermount.Mounted, dir string) error{
			"Mounted": func(m *fusermount.Mounted, _ string) error { return m.Abort() },
			"path":    func(_ *fusermount.Mounted, dir string) error { return fusermount.Abort(within(t), dir) },
		} {
			m, dir := w.mount(t, nil)
			s := serve(t, m, fusetest.Options{})
			s.Hang()
			waits := make(chan error, 1)
			go func() {
				waits <- as(w.uid, func() error {
					var st unix.Stat_t
					return unix.Stat(filepath.Join(dir, "hello"), &st)
				})
			}()
			eventually(t, "somebody waits", func() bool { return s.Count(fusetest.OpLookup)+s.Count(fusetest.OpGetattr) > 0 })
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

// Nobody aborts what is not his.
func TestAbortForeign(t *testing.T) {
	fusetest.NeedRoot(t)
	w := way{uid: user, o: fusermount.Options{Helper: ours(t)}}
	m, dir := w.mount(t, nil)
	serve(t, m, fusetest.Options{})
	e := wantError(t, as(user, func() error { return fusermount.Abort(within(t), dir) }), os.ErrNotExist)
	if !strings.Contains(e.Error(), "fusectl") {
		t.Error(e)
	}
	fusectl(t)
	wantError(t, as(other, func() error { return fusermount.Abort(within(t), dir) }), os.ErrPermission)
	wantServed(t, user, dir)
}
