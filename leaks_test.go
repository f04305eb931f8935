//go:build linux

package fusermount_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// endings are the ways in which a mount can come to its end.
var endings = []func(t *testing.T, w way, m *fusermount.Mounted, dir string) error{
	func(t *testing.T, w way, m *fusermount.Mounted, _ string) error { return w.unmount(t, m) },
	func(*testing.T, way, *fusermount.Mounted, string) error { return nil }, // Close does it
	func(t *testing.T, w way, m *fusermount.Mounted, _ string) error {
		return w.unmount(t, m, fusermount.UnmountLazy)
	},
	func(t *testing.T, _ way, m *fusermount.Mounted, dir string) error { // from outside
		err := unix.Unmount(dir, unix.MNT_DETACH)
		return errors.Join(err, m.Wait(within(t)))
	},
	func(_ *testing.T, _ way, m *fusermount.Mounted, _ string) error { // the daemon dies
		device, err := m.TakeFile()
		return errors.Join(err, device.Close())
	},
}

// Mounts that end in all ways, many at once, leave nothing behind.
func TestEndings(t *testing.T) {
	const many, atOnce = 500, 20
	ways(t, func(t *testing.T, w way) {
		fusetest.NeedRoot(t) // one ending is root's
		dirs := make(chan string, atOnce)
		for range atOnce {
			dirs <- fusetest.Dir(t, w.uid)
		}
		check := wantNoLeak(t)
		var all sync.WaitGroup
		for i := range many {
			dir := <-dirs
			all.Add(1)
			go func() {
				defer all.Done()
				defer func() { dirs <- dir }()

				var m *fusermount.Mounted
				err := as(w.uid, func() (err error) {
					m, err = fusermount.Mount(within(t), dir, w.with(func(o *fusermount.Options) { o.AutoUnmount = i%50 == 0 && !w.direct }))
					return err
				})
				if err == nil {
					err = endings[i%len(endings)](t, w, m, dir)
				}
				if m != nil {
					err = errors.Join(err, as(w.uid, m.Close), m.Close())
				}
				if err != nil {
					t.Errorf("%d: %v", i, err)
				}
			}()
		}
		all.Wait()
		for range atOnce {
			wantNothing(t, <-dirs)
		}
		check()
	})
}

// The context may end at any moment.
func TestCancelAnywhere(t *testing.T) {
	const moments = 200
	ways(t, func(t *testing.T, w way) {
		dir := fusetest.Dir(t, w.uid)
		length := timeOf(t, func() error { // of an undisturbed one
			return as(w.uid, func() error { return cancelledAfter(t, w, dir, time.Hour) })
		})
		check := wantNoLeak(t)
		failed := 0
		for i := range moments {
			err := as(w.uid, func() error { return cancelledAfter(t, w, dir, 2*length*time.Duration(i)/moments) })
			if err != nil {
				failed++
				wantError(t, err, context.DeadlineExceeded)
			}
			wantNothing(t, dir)
		}
		if failed == 0 || failed == moments {
			t.Errorf("%d of %d were cancelled in time", failed, moments)
		}
		check()
	})
}

// cancelledAfter mounts, with SyncInit, and closes what was mounted all the same.
func cancelledAfter(t *testing.T, w way, dir string, after time.Duration) error {
	ctx, cancel := context.WithTimeout(within(t), after)
	defer cancel()
	loop := func() {}
	m, err := fusermount.Mount(ctx, dir, w.with(func(o *fusermount.Options) {
		o.SyncInit = func(device *os.File) (func(), error) {
			loop = serveBy(func() { answerOrEnd(device) })
			return loop, nil
		}
	}))
	if err == nil {
		err = m.Unmount(within(t), &fusermount.UnmountOptions{Policy: fusermount.UnmountLazy})
		loop()
		err = errors.Join(err, m.Close())
	}
	return err
}

func timeOf(t *testing.T, f func() error) time.Duration {
	t.Helper()
	start := time.Now()
	if err := f(); err != nil {
		t.Fatal(err)
	}
	return time.Since(start)
}

func init() {
	jobs["no descriptors"] = closeWithoutDescriptors
}

// closeWithoutDescriptors closes a mount while no helper can be started for want of
// descriptors, and again when there are some: DIRECTORY HELPER.
func closeWithoutDescriptors(args []string) error {
	m, err := fusermount.Mount(ctxOfJob(), args[0], &fusermount.Options{Helper: args[1], Method: fusermount.MethodHelper})
	if err != nil {
		return err
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: limit.Max}); err != nil {
		return err
	}
	first := m.Close()
	second := m.Close()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if !errors.Is(first, unix.EMFILE) || !errors.Is(second, unix.EMFILE) {
		return fmt.Errorf("closed: %w, and %w", first, second)
	}
	if _, found, err := fusetest.TopMount(args[0]); err != nil || !found {
		return fmt.Errorf("mounted %v, %w", found, err)
	}
	return m.Close()
}

// A Close that has failed can be repeated.
func TestCloseWithoutDescriptors(t *testing.T) {
	withHelpers(t, func(t *testing.T, helper string) {
		fusetest.NeedRoot(t)
		dir := fusetest.Dir(t, user)
		doJob(t, jobCall(t, user, "no descriptors", dir, helper))
		wantNothing(t, dir)
	})
}

// A mount over /proc, which this process needs to look after it, is refused.
func TestMountOverProc(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		err := as(w.uid, func() error {
			_, err := fusermount.Mount(within(t), "/../proc/.", w.with(nil))
			return err
		})
		wantError(t, err, fusermount.ErrMountpoint, unix.EINVAL)
	})
}
