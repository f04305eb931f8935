//go:build linux

package fusermount_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
)

// A descriptor that another process opened and mounted is taken over.
func TestAdopt(t *testing.T) {
	fusetest.NeedDevice(t)
	dir := fusetest.Dir(t, 0)
	check := wantNoLeak(t)
	device := openForOther(t, dir)
	called := 0
	m, err := fusermount.Adopt(within(t), device, &fusermount.Options{
		SyncInit: func(f *os.File) (func(), error) {
			called++
			_, err := handOn(f, fuseserver.Options{})
			return nil, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	flags, err := unix.FcntlInt(m.File().Fd(), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 || int(m.File().Fd()) == device || called != 1 || m.Info().SyncInit || m.Info().Direct {
		t.Errorf("flags %x, %v, descriptor %d, called %d times", flags, err, m.File().Fd(), called)
	}
	if _, err := unix.FcntlInt(uintptr(device), unix.F_GETFD, 0); !errors.Is(err, unix.EBADF) {
		t.Errorf("the descriptor: %v", err)
	}
	if info, _ := infoOf(t, 0, dir); m.ID() != info.ID || m.Mountpoint() != dir {
		t.Errorf("id %d, mountpoint %s", m.ID(), m.Mountpoint())
	}
	wantServed(t, 0, dir)
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	mounted(t, dir) // it is not this Mounted's
	if err := fusermount.Unmount(within(t), dir, nil); err != nil {
		t.Error(err)
	}
	check()
}

// Who has adopted a mount may also unmount it.
func TestAdoptUnmount(t *testing.T) {
	fusetest.NeedDevice(t)
	dir := fusetest.Dir(t, 0)
	m := adoptIn(t, openForOther(t, dir), nil)
	if err := m.Unmount(within(t), nil); err != nil {
		t.Error(err)
	}
	wantNothing(t, dir)
	wantError(t, m.Unmount(within(t), nil), fusermount.ErrNotMounted)
}

// A device whose mount is elsewhere can be served all the same.
func TestAdoptUnknown(t *testing.T) {
	fusetest.NeedDevice(t)
	dir := fusetest.Dir(t, 0)
	device := openForOther(t, dir)
	inside, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0) // the mount lives on by this
	if err == nil {
		defer unix.Close(inside)
		err = unix.Unmount(dir, unix.MNT_DETACH)
	}
	if err != nil {
		t.Fatal(err)
	}
	mountAs(t, 0, dir, nil)
	m := adoptIn(t, device, nil)
	if m.ID() != 0 || m.Info().Connection != 0 {
		t.Errorf("id %d, connection %d", m.ID(), m.Info().Connection)
	}
	wantError(t, m.Unmount(within(t), nil), fusermount.ErrNotMounted)
	wantError(t, m.Abort(within(t)), fusermount.ErrNotMounted)
	select {
	case <-m.Done():
		t.Error("done")
	default:
	}
}

// One that is not mounted, any more or yet, can be only with SyncInit, and the
// context counts. Whatever fails, the descriptor stays with the caller.
func TestAdoptFails(t *testing.T) {
	fusetest.NeedDevice(t)
	dir := fusetest.Dir(t, 0)
	gone, device := openForOther(t, dir), openDevice()
	defer func() { closeFds(t, gone, device) }()
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	mountAs(t, 0, dir, nil) // it may get the number that the other's connection had
	check := wantNoLeak(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	reason := errors.New("the reason")
	for name, c := range map[string]struct {
		ctx      context.Context
		device   int
		syncInit func(*os.File) (func(), error)
		want     error
	}{
		"gone":     {t.Context(), gone, nil, fusermount.ErrNotMounted},
		"not yet":  {t.Context(), device, nil, fusermount.ErrNotMounted},
		"ended":    {ended, device, nil, context.Canceled},
		"ended, 2": {ended, device, func(*os.File) (func(), error) { return nil, nil }, context.Canceled},
		"SyncInit": {t.Context(), device, func(*os.File) (func(), error) { return nil, reason }, reason},
	} {
		_, err := fusermount.Adopt(c.ctx, c.device, &fusermount.Options{SyncInit: c.syncInit})
		wantError(t, err, c.want)
		flags, err := unix.FcntlInt(uintptr(c.device), unix.F_GETFD, 0)
		if err != nil || c.device == gone && flags&unix.FD_CLOEXEC != 0 {
			t.Errorf("%s: the descriptor: flags %x, %v", name, flags, err)
		}
	}
	check()
	early := openDevice()
	m := adoptIn(t, early, &fusermount.Options{SyncInit: func(*os.File) (func(), error) { return nil, nil }})
	if m.ID() != 0 {
		t.Errorf("id %d", m.ID())
	}
}

// What SyncInit has mounted is known; what a failed adoption leaves is as it was.
func TestAdoptLate(t *testing.T) {
	fusetest.NeedDevice(t)
	dir, device := fusetest.Dir(t, 0), openDevice()
	if err := unix.SetNonblock(device, true); err != nil {
		t.Fatal(err)
	}
	reason := errors.New("the reason")
	_, err := fusermount.Adopt(within(t), device, &fusermount.Options{SyncInit: func(*os.File) (func(), error) { return nil, reason }})
	wantError(t, err, reason)
	if flags, err := unix.FcntlInt(uintptr(device), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("flags %x, %v", flags, err)
	}
	m := adoptIn(t, device, &fusermount.Options{SyncInit: func(f *os.File) (func(), error) {
		return nil, unix.Mount("other", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", f.Fd()))
	}})
	if info, _ := infoOf(t, 0, dir); m.ID() != info.ID || m.Mountpoint() != dir {
		t.Errorf("id %d, mountpoint %s", m.ID(), m.Mountpoint())
	}
	if err := m.Unmount(within(t), nil); err != nil {
		t.Error(err)
	}
	wantNothing(t, dir)
}

func closeFds(t *testing.T, fds ...int) {
	t.Helper()
	for _, fd := range fds {
		if err := unix.Close(fd); err != nil {
			t.Error(err)
		}
	}
}

func TestAdoptNothing(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for fd, kind := range map[int]error{-1: unix.EBADF, 999: unix.EBADF, int(null.Fd()): fusermount.ErrNoDevice} {
		_, err := fusermount.Adopt(within(t), fd, nil)
		if e := wantError(t, err, kind); errors.Is(e, fs.ErrNotExist) || e.Path != fmt.Sprintf("/dev/fd/%d", fd) {
			t.Errorf("%+v", e)
		}
	}
	// To Mount that path is a mountpoint like any other.
	_, err = fusermount.Mount(within(t), fmt.Sprintf("/dev/fd/%d", null.Fd()), nil)
	wantError(t, err, unix.ENOTDIR)
	if _, err := null.Stat(); err != nil {
		t.Errorf("what was refused is closed: %v", err)
	}
}

// TakeFile hands over the very file, under its number. Close still unmounts, unless
// Detach was called.
func TestTakeFile(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		for _, detach := range []bool{false, true} {
			m, dir := w.mount(t, nil)
			device := m.File()
			taken, err := m.TakeFile()
			if err != nil || taken != device || m.File() != nil {
				t.Fatalf("%v, %v, and left is %v", taken, err, m.File())
			}
			if file, err := m.TakeFile(); file != nil || !errors.Is(err, fs.ErrClosed) {
				t.Errorf("twice: %v", err)
			}
			if detach {
				m.Detach()
			}
			if err := as(w.uid, m.Close); err != nil {
				t.Error(err)
			}
			if !detach {
				wantNothing(t, dir)
				if err := taken.Close(); err != nil {
					t.Error(err)
				}
				continue
			}
			mounted(t, dir)
			s := fuseserver.Serve(taken, hello)
			ready(t, s)
			wantServed(t, w.uid, dir)
			if err := errors.Join(w.unmount(t, m), s.Wait()); err != nil {
				t.Error(err)
			}
		}
	})
}

// adoptIn adopts a device, and closes the Mounted at the test's end.
func adoptIn(t *testing.T, fd int, o *fusermount.Options) *fusermount.Mounted {
	t.Helper()
	m, err := fusermount.Adopt(within(t), fd, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// openForOther opens a device and mounts it, as a process that hands it on would:
// a number that the caller owns, and that is not close-on-exec.
func openForOther(t *testing.T, dir string) int {
	t.Helper()
	fd, err := unix.Open(fusetest.DevicePath, unix.O_RDWR, 0)
	if err == nil {
		err = unix.Mount("other", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd))
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}
