package fusermount_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// Done tells of the end, whoever made it and however.
func TestDone(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		for name, end := range map[string]func(t *testing.T, m *fusermount.Mounted, dir string) error{
			"Unmount":         func(t *testing.T, m *fusermount.Mounted, _ string) error { return w.unmount(t, m) },
			"somebody else":   func(_ *testing.T, _ *fusermount.Mounted, dir string) error { return unix.Unmount(dir, 0) },
			"somebody lazily": func(_ *testing.T, _ *fusermount.Mounted, dir string) error { return unix.Unmount(dir, unix.MNT_DETACH) },
			"Close":           func(_ *testing.T, m *fusermount.Mounted, _ string) error { return as(w.uid, m.Close) },
			"with its parent": func(t *testing.T, _ *fusermount.Mounted, dir string) error { return detachAbove(dir) },
		} {
			t.Run(name, func(t *testing.T) {
				check := wantNoLeak(t)
				above := fusetest.Dir(t, w.uid)
				if err := errors.Join(unix.Mount(above, above, "", unix.MS_BIND, "")); err != nil {
					t.Fatal(err)
				}
				m := mountAs(t, w.uid, above, w.with(nil))
				select {
				case <-m.Done():
					t.Fatal("done before it began")
				default:
				}
				if err := end(t, m, above); err != nil {
					t.Fatal(err)
				}
				if err := m.Wait(within(t)); err != nil {
					t.Error(err)
				}
				<-m.Done()
				if err := m.Close(); err != nil {
					t.Error(err)
				}
				if err := fusetest.DetachBelow(above); err != nil {
					t.Error(err)
				}
				check()
			})
		}
	})
}

// detachAbove takes away the mount on which the one at dir lies.
func detachAbove(dir string) error {
	return errors.Join(unix.Unmount(dir, unix.MNT_DETACH), unix.Unmount(dir, unix.MNT_DETACH))
}

// One goroutine waits for all mounts, and only while there are any.
func TestDoneOfMany(t *testing.T) {
	fusetest.NeedDevice(t)
	check := wantNoLeak(t)
	var all []*fusermount.Mounted
	for range 20 {
		all = append(all, mountAs(t, 0, fusetest.Dir(t, 0), nil))
	}
	before := count(t)
	for _, m := range all {
		m.Done()
	}
	if now := count(t); now.goroutines > before.goroutines+1 {
		t.Errorf("%d goroutines wait", now.goroutines-before.goroutines)
	}
	for len(all) > 0 {
		i := len(all) / 2
		if err := unix.Unmount(all[i].Mountpoint(), 0); err != nil {
			t.Fatal(err)
		}
		if err := all[i].Wait(within(t)); err != nil {
			t.Error(err)
		}
		for j, m := range all {
			select {
			case <-m.Done():
				if j != i {
					t.Errorf("number %d is done, and is mounted", j)
				}
			default:
			}
		}
		if err := all[i].Close(); err != nil {
			t.Error(err)
		}
		all = slices.Delete(all, i, i+1)
	}
	check()
}

func TestWait(t *testing.T) {
	fusetest.NeedDevice(t)
	dir := fusetest.Dir(t, 0)
	m := mountAs(t, 0, dir, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the cause")
	cancel(cause)
	if err := m.Wait(ctx); !errors.Is(err, cause) {
		t.Error(err)
	}
	fd, err := m.TakeFd()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	mounted(t, dir) // whoever has the device serves it
	if err := m.Wait(within(t)); !errors.Is(err, fs.ErrClosed) {
		t.Error(err)
	}
}

// A mount that is gone is gone, whatever the context says.
func TestWaitGone(t *testing.T) {
	fusetest.NeedDevice(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := mountAs(t, 0, fusetest.Dir(t, 0), nil)
	if err := m.Unmount(within(t), nil); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if err := m.Wait(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// Nothing is known of an adopted mount that is in no table; it does not go with
// its Mounted.
func TestWaitUnknown(t *testing.T) {
	fusetest.NeedDevice(t)
	dir := fusetest.Dir(t, 0)
	device := openForOther(t, dir)
	inside, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(inside)
		err = unix.Unmount(dir, unix.MNT_DETACH)
	}
	if err != nil {
		t.Fatal(err)
	}
	m := mountAs(t, 0, fmt.Sprintf("/dev/fd/%d", device), nil)
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if err := m.Wait(within(t)); !errors.Is(err, fs.ErrClosed) {
		t.Error(err)
	}
}

// Close and what follows it.
func TestClose(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		m, dir := w.mount(t, nil)
		f := m.File()
		if err := as(w.uid, m.Close); err != nil {
			t.Error(err)
		}
		wantNothing(t, dir)
		if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("the device: %v", err)
		}
		if _, err := m.TakeFd(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("TakeFd: %v", err)
		}
		if m.File() != nil || m.Fd() != -1 || m.Close() != nil {
			t.Error("closed, and has a device")
		}
	})
}

// A read of the device ends with ENODEV when the file system has ended.
func TestDeviceEnds(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		m, _ := w.mount(t, nil)
		f := m.File()
		result := make(chan error, 1)
		go func() {
			buf := make([]byte, 1<<17)
			for {
				if _, err := f.Read(buf); err != nil {
					result <- err
					return
				}
			}
		}()
		if err := w.unmount(t, m); err != nil {
			t.Fatal(err)
		}
		if err := <-result; !errors.Is(err, unix.ENODEV) {
			t.Errorf("%v, want ENODEV", err)
		}
	})
}
