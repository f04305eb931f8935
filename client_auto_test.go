package fusermount_test

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
)

func init() { jobs["hold"] = holdMount }

// holdMount mounts, says so, and lives until its input ends or somebody kills it:
// DIRECTORY HELPER "auto"|"" "direct"|"helper".
func holdMount(args []string) error {
	method := map[string]fusermount.Method{"direct": fusermount.MethodDirect, "helper": fusermount.MethodHelper}[args[3]]
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
			"somebody": func(m *fusermount.Mounted) error {
				return errors.Join(unix.Unmount(m.Mountpoint(), unix.MNT_DETACH), m.Close())
			},
		} {
			check := wantNoLeak(t)
			m, dir := w.mount(t, func(o *fusermount.Options) { o.AutoUnmount = true })
			if m.Info().Direct != w.direct {
				t.Errorf("%s: direct %v", name, m.Info().Direct)
			}
			eventually(t, "one helper watches", func() bool { return len(watchers(t, w.o.Helper)) == 1 })
			if err := end(m); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			wantNothing(t, dir)
			if left := watchers(t, w.o.Helper); len(left) > 0 {
				t.Errorf("%s: watchers %v", name, left)
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			check()
		}
	})
}

// Close ends the watch, also where the device was taken; the mount stays with
// whoever serves it.
func TestAutoUnmountTaken(t *testing.T) {
	autoWays(t, func(t *testing.T, w way) {
		m, dir := w.mount(t, func(o *fusermount.Options) { o.AutoUnmount = true })
		eventually(t, "one helper watches", func() bool { return len(watchers(t, w.o.Helper)) == 1 })
		serve(t, m, fusetest.Options{})
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if left := watchers(t, w.o.Helper); len(left) > 0 {
			t.Errorf("watchers %v", left)
		}
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
		eventually(t, "the helper ends", func() bool { return len(watchers(t, w.o.Helper)) == 0 })
	})
}

// startHold starts a process that mounts, and waits for its mount.
func startHold(t *testing.T, w way, dir, auto string) *fusetest.Proc {
	t.Helper()
	how := "helper"
	if w.direct {
		how = "direct"
	}
	call := jobCall(t, w.uid, "hold", dir, w.o.Helper, auto, how)
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
