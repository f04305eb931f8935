package fuzzcmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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

// world is the place of a scenario: a directory of alice's with mounts of others in it,
// and the files below /etc and /run that the helper reads or writes.
type world struct {
	*testing.T
	home     string
	setting  setting
	lines    []fusetest.Line // the mount table after the last call
	tables   tables          // utab and mtab after the last call
	daemons  map[string]*os.File
	watchers []*watcher
	births   map[string]int // mounts so far, by path
	covered  string         // the mountpoint on which root has mounted
}

// newWorld makes the world of a test.
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

// mountStrangers mounts for bob and for root what alice must never unmount.
func (w *world) mountStrangers() {
	w.Helper()
	for name, uid := range map[string]int{"bobs": bob, "roots": 0} {
		dev, err := helpertest.MountUnserved(w.at(name), uid)
		w.check(err)
		w.check(dev.Close())
	}
	w.check(unix.Mount("tmpfs", w.at("tmpfs"), "tmpfs", 0, "mode=0777"))
}

// mountTable returns the mounts that the helper may have changed: those on the stage,
// and alice's FUSE file systems anywhere. Other mounts may go at any time, when their
// mountpoint is removed outside.
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

// own makes a directory of alice's.
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

// mine reports whether alice's own mount is the only one at this path.
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

// setting is the administrator's configuration.
type setting struct {
	allowOther bool // users may ask for allow_other
	full       bool // mount_max is reached
	conf       string
}

// conf is a fuse.conf.
type conf struct {
	text       string
	mode       fs.FileMode
	uid        int
	allowOther bool
	full       bool
}

var confs = []conf{
	{},
	{text: "user_allow_other\n", mode: 0o644, allowOther: true},
	{text: "mount_max = 5000\nuser_allow_other", mode: 0o644, allowOther: true},
	{text: "mount_max = -1\n", mode: 0o644},
	{text: "mount_max = 0\nuser_allow_other\n", mode: 0o644, allowOther: true, full: true},
	{text: "user_allow_other\n", mode: 0o666},             // writable for all: ignored
	{text: "user_allow_other\n", mode: 0o644, uid: alice}, // alice's: ignored
	{text: "user_allow_other\n", mode: 0o600},             // not readable for alice
	{text: "user_allow_other x\n\x1b[2Jjunk\nmount_max = 08\n# user_allow_other\nuser_allow_othe", mode: 0o644},
}

// newSetting writes /etc/fuse.conf and the tables.
func newSetting(w *world, e *entropy) setting {
	w.Helper()
	c := one(e, confs...)
	if c.text != "" {
		w.check(os.WriteFile("/etc/fuse.conf", []byte(c.text), 0o644), os.Chmod("/etc/fuse.conf", c.mode), os.Chown("/etc/fuse.conf", c.uid, 0))
	}
	if e.odd(2) {
		w.check(os.Mkdir("/run/mount", 0o755), os.WriteFile("/run/mount/utab", []byte(one(e, utabs...)), 0o644))
	}
	if e.odd(4) {
		w.check(os.Remove("/etc/mtab"), os.WriteFile("/etc/mtab", []byte(one(e, mtabs...)), 0o644))
	}
	return setting{allowOther: c.allowOther, full: c.full, conf: c.text}
}

// utabs and mtabs are tables before the first call.
var (
	utabs = []string{
		"",
		"SRC=x TARGET=/else ROOT=/ OPTS=x-y\n",
		"ID=1 SRC=x TARGET=/else ROOT=/ OPTS=x-y\nno newline",
		"\n\n\x00\xff\n",
	}
	mtabs = []string{
		"/dev/sda1 / ext4 rw 0 0\n",
		"",
		"/dev/sda1 / ext4 rw 0 0\nx /m fuse rw,user_id=4343 0 0\nno newline",
		"\n#\n\x00\xff x\n",
	}
)

// clearSetting removes what newSetting made.
func clearSetting() error {
	err := errors.Join(os.RemoveAll("/run/mount"), os.RemoveAll("/etc/fuse.conf"), removeRests())
	var st unix.Stat_t
	if unix.Lstat("/etc/mtab", &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG {
		err = errors.Join(err, os.Remove("/etc/mtab"), os.Symlink("/proc/mounts", "/etc/mtab"))
	}
	return err
}

// removeRests removes the files of a call that could not do so.
func removeRests() error {
	var errs []error
	for _, name := range []string{"/etc/mtab~", "/etc/mtab.fusermount", "/run/mount/utab.fusermount"} {
		errs = append(errs, os.RemoveAll(name))
	}
	return errors.Join(errs...)
}

// watcher is a call that stays.
type watcher struct {
	*helpertest.Proc
	cancel context.CancelFunc
	path   string // of the mount
	line   fusetest.Line
	birth  int  // which of the mounts at that path it is
	broken bool // it can unmount nothing
	// reused says that it knows its mount by an id that a later mount may get. It takes
	// a mount of alice's that is dead, too, and differs in nothing, for its own.
	reused bool
}

// leaves reports whether a process ignores signals that no test has it ignore, which is
// the last thing that a watcher does before it waits.
func leaves(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, mask, found := strings.Cut(string(text), "\nSigIgn:\t")
	if err != nil || !found {
		return false // it has ended
	}
	set, err := strconv.ParseUint(mask[:16], 16, 64)
	const some = 1<<(unix.SIGINT-1) | 1<<(unix.SIGUSR1-1) | 1<<(unix.SIGUSR2-1)
	return err == nil && set&some == some
}

// end undoes everything: watchers end when their sockets close, and alice can unmount
// what is alice's.
func (w *world) end() {
	w.Helper()
	defer func() {
		for _, watcher := range w.watchers {
			watcher.cancel()
		}
		w.kill()
		w.check(clearSetting())
	}()
	if w.Failed() {
		return
	}
	w.endWatchers()
	w.unmountMine()
}

// unmountMine has alice unmount all of alice's mounts that can be reached. Whatever
// happened to a mount, its owner can unmount it.
func (w *world) unmountMine() {
	w.Helper()
	for l, found := w.reachable(); found; l, found = w.reachable() {
		c := &call{kind: unmount, target: target{path: l.Mountpoint}, lazy: true, sure: true}
		c.Call = helpertest.Call{
			Prog: w.program(), UID: alice, GID: alice, Dir: "/", Socket: helpertest.NoSocket,
			Args: []string{"-u", "-z", "--", l.Mountpoint},
		}
		w.judge(c, w.run(c))
	}
}

// reachable returns one of alice's mounts on which there is no mount of others.
func (w *world) reachable() (l fusetest.Line, found bool) {
	for _, l := range w.lines {
		if owned(l) && l.Mountpoint != w.covered && !w.hidden(target{path: l.Mountpoint}) {
			return l, true
		}
	}
	return fusetest.Line{}, false
}

// endWatchers closes the sockets one by one. The first watcher may have asked its
// daemon before that died.
func (w *world) endWatchers() {
	w.Helper()
	for _, watcher := range w.watchers {
		w.check(watcher.CloseSocket())
		w.kill()
		r := watcher.Wait()
		watcher.cancel()
		reachable := w.covered == "" && !w.hidden(target{path: watcher.path}) && !watcher.broken
		if r.Err != nil || r.Signal != 0 || r.Exit > 1 || (r.Exit == 1 && reachable) {
			w.Fatalf("the watcher of %s: exit %d, signal %v, %v: %s", watcher.path, r.Exit, r.Signal, r.Err, r.Stderr)
		}
		now := w.mountTable()
		went := without(w.lines, now)
		w.lines = now
		same := func(l fusetest.Line) bool { return l.ID == watcher.line.ID && l.Mountpoint == watcher.path }
		if reachable && slices.ContainsFunc(now, same) && w.births[watcher.path] == watcher.birth {
			w.Fatalf("%s was not cleaned up", watcher.path)
		}
		switch {
		case len(went) == 0:
			w.wantTables(0, "")
		case len(went) > 1, went[0].Mountpoint != watcher.path && !watcher.reused, !owned(went[0]):
			w.Fatalf("the watcher of %s took away %+v", watcher.path, went)
		default:
			w.wantTables(-1, went[0].Mountpoint)
		}
	}
	w.watchers = nil
}
