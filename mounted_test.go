//go:build linux

package fusermount_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// Done tells of the end, however it came.
func TestDone(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		for name, end := range map[string]func(t *testing.T, m *fusermount.Mounted, dir string) error{
			"Unmount":         func(t *testing.T, m *fusermount.Mounted, _ string) error { return w.unmount(t, m) },
			"another process": func(_ *testing.T, _ *fusermount.Mounted, dir string) error { return unix.Unmount(dir, 0) },
			"another lazily":  func(_ *testing.T, _ *fusermount.Mounted, dir string) error { return unix.Unmount(dir, unix.MNT_DETACH) },
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
	device, err := m.TakeFile()
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	m.Detach()
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	mounted(t, dir) // it can still be served
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
	m := adoptIn(t, device, nil)
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
		if _, err := m.TakeFile(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("TakeFile: %v", err)
		}
		if m.File() != nil || m.Close() != nil {
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

func init() { jobs["hold"] = holdMount }

// holdMount mounts, says so, and lives until its input ends or it is killed:
// DIRECTORY HELPER "auto"|"" "direct"|"helper".
func holdMount(args []string) error {
	method := map[string]fusermount.Method{
		"direct": fusermount.MethodDirect, "helper": fusermount.MethodHelper, "service": fusermount.MethodService,
	}[args[3]]
	m, err := fusermount.Mount(ctxOfJob(), args[0], &fusermount.Options{Helper: args[1], AutoUnmount: args[2] == "auto", Method: method})
	if err != nil {
		return err
	}
	if _, err := unix.Write(3, []byte("x")); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return m.Close()
}

// watchers gives the processes that run a helper.
func watchers(t *testing.T, helper string) (pids []string) {
	t.Helper()
	for _, pid := range living(t) {
		if exe, err := os.Readlink("/proc/" + pid + "/exe"); err == nil && exe == helper {
			pids = append(pids, pid)
		}
	}
	return pids
}

// watchers gives the processes that watch mounts in this way.
func (w way) watchers(t *testing.T) []string {
	t.Helper()
	if w.service == nil {
		return watchers(t, w.o.Helper)
	}
	return w.service.Workers(t, w.uid)
}

// wantNoWatcher wants none after Close. Nothing waits for the workers of the mount service.
func wantNoWatcher(t *testing.T, w way) {
	t.Helper()
	if w.service != nil {
		eventually(t, "the worker ends", func() bool { return len(w.watchers(t)) == 0 })
	} else if left := w.watchers(t); len(left) > 0 {
		t.Errorf("watchers %v", left)
	}
}

// autoWays are the ways to have a mount watched; the C helper of libfuse 3.14
// watches its own mounts alone.
func autoWays(t *testing.T, test func(t *testing.T, w way)) {
	t.Run("direct", func(t *testing.T) {
		test(t, way{direct: true, o: fusermount.Options{Helper: ours(t), Method: fusermount.MethodDirect}})
	})
	ways(t, func(t *testing.T, w way) {
		if !w.direct {
			test(t, w)
		}
	})
}

// While the mount lives a helper watches; it ends with the mount.
func TestAutoUnmountLives(t *testing.T) {
	autoWays(t, func(t *testing.T, w way) {
		for name, end := range map[string]func(m *fusermount.Mounted) error{
			"Unmount": func(m *fusermount.Mounted) error { return w.unmount(t, m) },
			"Close":   func(m *fusermount.Mounted) error { return as(w.uid, m.Close) },
			"another process": func(m *fusermount.Mounted) error {
				return errors.Join(unix.Unmount(m.Mountpoint(), unix.MNT_DETACH), m.Close())
			},
		} {
			check := wantNoLeak(t)
			m, dir := w.mount(t, func(o *fusermount.Options) { o.AutoUnmount = true })
			if m.Info().Direct != w.direct {
				t.Errorf("%s: direct %v", name, m.Info().Direct)
			}
			eventually(t, "one helper watches", func() bool { return len(w.watchers(t)) == 1 })
			if err := end(m); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			wantNothing(t, dir)
			wantNoWatcher(t, w)
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			check()
		}
	})
}

// A helper that watches also ends when the mount is unmounted by its path.
func TestAutoUnmountByPath(t *testing.T) {
	autoWays(t, func(t *testing.T, w way) {
		check := wantNoLeak(t)
		m, dir := w.mount(t, func(o *fusermount.Options) { o.AutoUnmount = true })
		before := count(t).descriptors
		err := as(w.uid, func() error {
			return fusermount.Unmount(within(t), dir, &fusermount.UnmountOptions{Helper: w.o.Helper})
		})
		if err != nil {
			t.Error(err)
		}
		eventually(t, "the helper ends", func() bool { return len(w.watchers(t)) == 0 })
		eventually(t, "its descriptors are closed", func() bool { return count(t).descriptors < before })
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		check()
	})
}

// Close ends the watch, also where the device was taken; a detached mount stays.
func TestAutoUnmountTaken(t *testing.T) {
	autoWays(t, func(t *testing.T, w way) {
		m, dir := w.mount(t, func(o *fusermount.Options) { o.AutoUnmount = true })
		eventually(t, "one helper watches", func() bool { return len(w.watchers(t)) == 1 })
		serve(t, m, fuseserver.Options{})
		m.Detach()
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		wantNoWatcher(t, w)
		wantServed(t, w.uid, dir)
		if err := w.unmount(t, m); err != nil {
			t.Error(err)
		}
	})
}

// When the process that serves it is killed, the mount goes.
func TestAutoUnmountKilled(t *testing.T) {
	autoWays(t, func(t *testing.T, w way) {
		if strings.HasPrefix(t.Name(), "TestAutoUnmountKilled/C/user") {
			return // it asks with root's ids, and is told nothing; see COMPAT.md
		}
		dir := fusetest.Dir(t, w.uid)
		p := startHold(t, w, dir, "auto")
		if err := p.Signal(unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		p.Wait()
		eventually(t, "the mount goes", func() bool {
			_, found := fusetest.FindMount(t, dir)
			return !found
		})
		eventually(t, "the helper ends", func() bool { return len(w.watchers(t)) == 0 })
	})
}

// startHold starts a process that mounts, and waits for its mount.
func startHold(t *testing.T, w way, dir, auto string) *helpertest.Proc {
	t.Helper()
	how := "helper"
	if w.direct {
		how = "direct"
	} else if w.service != nil {
		how = "service"
	}
	call := jobCall(t, w.uid, "hold", dir, w.o.Helper, auto, how)
	call.Env = append(call.Env, "FUSERMOUNT_SOCKET="+os.Getenv("FUSERMOUNT_SOCKET"))
	input, hold, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hold.Close() })
	told, tell, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	call.Stdin, call.Comm = input, tell
	p, err := call.Start(within(t))
	if err := errors.Join(err, input.Close(), tell.Close()); err != nil {
		t.Fatal(err)
	}
	if n, err := told.Read(make([]byte, 1)); n != 1 {
		t.Fatal(err, p.Wait().Stderr)
	}
	if err := told.Close(); err != nil {
		t.Error(err)
	}
	mounted(t, dir)
	return p
}

// Without a watcher, AutoUnmount is not had.
func TestAutoUnmountFails(t *testing.T) {
	dir := fusetest.Dir(t, 0)
	for name, c := range map[string]struct {
		helper string
		status int
		kind   error
	}{
		"no helper": {"/absent", 0, fusermount.ErrHelperNotFound},
		"mute":      {fakeHelper(t, "mute"), 3, nil},
		"dies":      {fakeHelper(t, "die"), -1, nil},
	} {
		for _, method := range []fusermount.Method{fusermount.MethodDirect, fusermount.MethodAuto} {
			check := wantNoLeak(t)
			_, err := fusermount.Mount(within(t), dir, &fusermount.Options{Helper: c.helper, AutoUnmount: true, Method: method})
			e := wantError(t, err)
			if e.ExitStatus != c.status || c.kind != nil && !errors.Is(e, c.kind) {
				t.Errorf("%s, method %v: %+v", name, method, e)
			}
			wantNothing(t, dir)
			check()
		}
	}
}

// Zero values are no good, and do no harm.
func TestZeroValues(t *testing.T) {
	m := new(fusermount.Mounted)
	wantError(t, m.Unmount(within(t), nil), fusermount.ErrNotMounted)
	if m.ID() != 0 || m.File() != nil || m.Info().Direct {
		t.Errorf("%d, %v, %+v", m.ID(), m.File(), m.Info())
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if text := (&fusermount.Error{Op: "mount"}).Error(); text != "mount" {
		t.Errorf("%q", text)
	}
}
