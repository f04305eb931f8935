package fusermount_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

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
			errs := atOnce(w, func() error { return m.Unmount(within(t)) }, m.Close)
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
