package fuzzcmd

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

const (
	alice = helpertest.Alice // calls the helper
	bob   = helpertest.Bob   // their mounts have to stay
)

// world is what a scenario plays in: a directory of alice's with mounts of
// others in it, and the files below /etc and /run that the helper reads or
// writes.
type world struct {
	*testing.T
	home     string
	setting  setting
	lines    []fusetest.Line // the mount table after the last call
	tables   tables          // the tables of user space, likewise
	daemons  map[string]*os.File
	watchers []*watcher
	births   map[string]int // how often something was mounted at a path
	covered  string         // where root has mounted on top
}

// newWorld makes one for a test.
func newWorld(t *testing.T, e *entropy) *world {
	t.Helper()
	w := &world{T: t, home: fusetest.Dir(t, alice), daemons: map[string]*os.File{}, births: map[string]int{}}
	w.T.Cleanup(w.end)
	for _, d := range []struct {
		name string
		uid  int
		mode uint32
	}{
		{"m", alice, 0o755},
		{"n", alice, 0o700},
		{"full", alice, 0o755},
		{"full/sub", alice, 0o755},
		{"readonly", alice, 0o555},
		{"theirs", 0, 0o755},
		{"open", 0, 0o777},
		{"sticky", 0, 0o1777},
		{"mysticky", alice, 0o1777},
		{"bobs", bob, 0o777},
		{"roots", 0, 0o777},
		{"closed", 0, 0o700},
		{"tmpfs", alice, 0o755},
	} {
		w.check(unix.Mkdir(w.at(d.name), 0o755), unix.Chown(w.at(d.name), d.uid, d.uid), unix.Chmod(w.at(d.name), d.mode))
	}
	w.check(os.WriteFile(w.at("f"), nil, 0o644), unix.Chown(w.at("f"), alice, alice), os.WriteFile(w.at("rootfile"), nil, 0o644),
		unix.Mkfifo(w.at("fifo"), 0o666), unix.Symlink("m", w.at("link")), unix.Symlink("nowhere", w.at("dangling")),
		unix.Symlink(".", w.at("here")), unix.Symlink("loop", w.at("loop")))
	w.mountStrangers()
	w.setting = newSetting(w, e)
	w.lines, w.tables = w.mountTable(), w.readTables()
	return w
}

// mountStrangers mounts for bob and for root what alice must never get away.
func (w *world) mountStrangers() {
	w.Helper()
	for name, uid := range map[string]int{"bobs": bob, "roots": 0} {
		dev, err := helpertest.MountUnserved(w.at(name), uid)
		w.check(err)
		w.check(dev.Close())
	}
	w.check(unix.Mount("tmpfs", w.at("tmpfs"), "tmpfs", 0, "mode=0777"))
}

// mountTable is what the helper may have changed: what lies on the stage, and
// FUSE file systems of alice's wherever they are. Elsewhere a mount may go at any
// time, when its mountpoint is removed outside.
func (w *world) mountTable() []fusetest.Line {
	return slices.DeleteFunc(fusetest.Mountinfo(w.T), func(l fusetest.Line) bool {
		return !strings.HasPrefix(l.Mountpoint, fusetest.Stage()+"/") && !owned(l)
	})
}

func (w *world) check(errs ...error) {
	w.Helper()
	helpertest.Must(w.T, errs...)
}

func (w *world) at(name string) string { return filepath.Join(w.home, name) }

// own makes a directory of alice's of any name.
func (w *world) own(name string) string {
	w.Helper()
	path := w.home + "/" + name
	if err := unix.Mkdir(path, 0o755); !errors.Is(err, unix.EEXIST) {
		w.check(err, unix.Lchown(path, alice, alice))
	}
	return path
}

// kill closes the device of every daemon, as if all were killed.
func (w *world) kill() {
	for path, dev := range w.daemons {
		w.check(dev.Close())
		delete(w.daemons, path)
	}
}

// mine says whether alice's own mount is topmost at this path.
func (w *world) mine(path string) bool {
	stack := 0
	var top fusetest.Line
	for _, l := range w.lines {
		if l.Mountpoint == path {
			stack++
			top = l
		}
	}
	return stack == 1 && owned(top)
}

func (w *world) mounted(path string) bool {
	for _, l := range w.lines {
		if l.Mountpoint == path {
			return true
		}
	}
	return false
}

func owned(l fusetest.Line) bool { return helpertest.IsFUSEOf(l, alice) }

// coverOne has root mount on top of one of alice's mounts.
func (w *world) coverOne() {
	w.Helper()
	for _, l := range w.lines {
		if w.covered == "" && owned(l) && l.Mountpoint != w.at("f") && !w.hidden(target{path: l.Mountpoint}) && strings.HasPrefix(l.Mountpoint, w.home) {
			w.covered = l.Mountpoint
			w.check(unix.Mount("cover", w.covered, "tmpfs", 0, ""))
		}
	}
	w.lines = w.mountTable()
}
