package faults

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

const (
	alice = helpertest.Alice // calls the helper
	bob   = helpertest.Bob   // their mount has to stay

	nosuid = unix.MS_NOSUID | unix.MS_NODEV
)

var must = helpertest.Must

// world is a mount namespace in which one mode of the helper is run many times.
type world struct {
	program string
	mode    mode
	home    string
	m       string                     // the mountpoint, alice's
	others  map[identity]fusetest.Line // all mounts but alice's
	held    *os.File                   // the device of a mount that was there before
	steps   []spot                     // the calls before the Go runtime starts
}

// newWorld moves the test into a mount namespace of its own, with an /etc and
// a /run/mount of its own, so that the tests of other modes can run at the same
// time. The test's thread dies with the test, and the namespace with it.
func newWorld(t *testing.T, program string, m mode) *world {
	t.Helper()
	runtime.LockOSThread()
	must(t, os.NewSyscallError("unshare", unix.Unshare(unix.CLONE_NEWNS)), os.MkdirAll("/run/mount", 0o755))
	must(t, helpertest.Mount("/run/mount", "tmpfs", nosuid, "mode=0755"), helpertest.Mount("/etc", "tmpfs", nosuid, "mode=0755"))
	must(t, os.WriteFile("/etc/fuse.conf", []byte("mount_max = 1000\n"), 0o644))
	if m.fusectl {
		must(t, helpertest.Mount("/sys/fs/fuse/connections", "fusectl", nosuid, ""))
	}
	w := &world{program: program, mode: m, home: fusetest.Dir(t, alice)}
	w.m = filepath.Join(w.home, "m")
	must(t, w.makeMountpoint())
	must(t, helpertest.Mount(fusetest.Dir(t, 0), "tmpfs", nosuid, ""))
	dev, err := helpertest.MountUnserved(fusetest.Dir(t, bob), bob)
	must(t, err)
	t.Cleanup(func() { must(t, dev.Close()) })
	lines, err := fusetest.AllMounts()
	must(t, err)
	w.others = map[identity]fusetest.Line{}
	for _, l := range lines {
		w.others[identify(l)] = l
	}
	t.Cleanup(func() { must(t, w.clear()) })
	return w
}

// identity is what one mount alone has as long as it exists.
type identity struct {
	id             int
	device, fstype string
}

func identify(l fusetest.Line) identity { return identity{l.ID, l.Device, l.FSType} }

// guarded says whether a mount is one of the test's own, which nobody else on this
// machine moves or takes away.
func guarded(l fusetest.Line) bool {
	own := []string{"/etc", "/run/mount", fusetest.DevicePath}
	return strings.HasPrefix(l.Mountpoint, fusetest.Stage()) || slices.Contains(own, l.Mountpoint)
}

func (w *world) makeMountpoint() error {
	create := func() error { return os.Mkdir(w.m, 0o755) }
	if w.mode.file {
		create = func() error { return os.WriteFile(w.m, nil, 0o644) }
	}
	err := errors.Join(create(), os.Chown(w.m, alice, alice))
	if w.mode.closed {
		err = errors.Join(err, os.Chmod(w.m, 0o555))
	}
	return err
}

// reset makes the world as good as new.
func (w *world) reset() error {
	if err := w.clear(); err != nil {
		return err
	}
	var line fusetest.Line
	if w.mode.mounted {
		var err error
		if w.held, err = helpertest.MountUnserved(w.m, alice); err != nil {
			return err
		}
		if line, _, err = fusetest.TopMount(w.m); err != nil {
			return err
		}
	}
	if w.mode.dead {
		if err := shut(&w.held); err != nil {
			return err
		}
	}
	for _, t := range w.mode.tables() {
		text := t.others
		if w.mode.mounted {
			text += t.line(line)
		}
		if err := os.WriteFile(t.path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// clear takes away what a run has left.
func (w *world) clear() error {
	err := errors.Join(fusetest.DetachBelow(w.m), shut(&w.held))
	for _, t := range []table{utab, mtab} {
		paths, globErr := filepath.Glob(t.path + "*")
		err = errors.Join(err, globErr)
		for _, path := range paths {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return err
}
