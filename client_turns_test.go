package fusermount_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// Whoever unmounts a mount at the same moment as somebody else in the process
// does not take away what lies beneath.
func TestUnmountAtOnce(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		if strings.HasSuffix(t.Name(), "/C/user") {
			return // FUSE does not let its ids in, so it mounts on top of none
		}
		dir := fusetest.Dir(t, w.uid)
		below := mountAs(t, w.uid, dir, w.with(nil))
		serve(t, below, fusetest.Options{})
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
		all.Go(func() {
			errs[i] = as(w.uid, func() error {
				<-start
				return call()
			})
		})
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
				m.Fd()
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

// pinned keeps a mount busy that nobody serves.
func pinned(t *testing.T, dir string) (release func()) {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return func() { closeFds(t, fd) }
}
