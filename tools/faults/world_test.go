package faults

import (
	"errors"
	"fmt"
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
	held    *os.File                   // the device of alice's mount
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

// identity identifies a mount as long as it exists.
type identity struct {
	id             int
	device, fstype string
}

func identify(l fusetest.Line) identity { return identity{l.ID, l.Device, l.FSType} }

// guarded reports whether a mount is one of the test's own, which nothing else on this
// machine moves or unmounts.
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

// reset restores the world.
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

// clear removes what a run has left.
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

// table is one of the tables of user space.
type table struct {
	path   string
	others string // lines that are not alice's
	lock   string // the lock file, beside it
	stays  bool   // the lock file
	line   func(l fusetest.Line) string
	target func(line string) (target string, ok bool)
}

var (
	utab = table{"/run/mount/utab", "SRC=x TARGET=/else ROOT=/ OPTS=x-y\n", ".lock", true, utabLine, utabTarget}
	mtab = table{"/etc/mtab", "proc /else proc rw 0 0\n", "~", false, mtabLine, mtabTarget}
)

func utabLine(l fusetest.Line) string {
	return fmt.Sprintf("SRC=faults TARGET=%s ROOT=/ ATTRS=fusermount.id=%d OPTS=x-a\n", l.Mountpoint, l.ID)
}

func utabTarget(line string) (target string, ok bool) {
	fields := map[string]string{}
	for f := range strings.SplitSeq(line, " ") {
		name, value, found := strings.Cut(f, "=")
		if !found || value == "" {
			return "", false
		}
		fields[name] = value
	}
	return fields["TARGET"], len(fields) == 5 && strings.HasPrefix(fields["ATTRS"], "fusermount.id=") && fields["OPTS"] == "x-a"
}

func mtabLine(l fusetest.Line) string {
	return fmt.Sprintf("faults %s fuse %s,%s 0 0\n", l.Mountpoint, l.Options, l.SuperOptions)
}

func mtabTarget(line string) (target string, ok bool) {
	f := strings.Split(line, " ")
	if len(f) != 6 || f[4] != "0" || f[5] != "0" {
		return "", false
	}
	return f[1], strings.Contains(","+f[3]+",", fmt.Sprintf(",user_id=%d,", alice))
}

// tables returns the tables of a mode.
func (m mode) tables() (tables []table) {
	if m.utab {
		tables = append(tables, utab)
	}
	if m.mtab {
		tables = append(tables, mtab)
	}
	return tables
}

// read wants a complete table that belongs to root, with the lines of others unchanged,
// and returns the number of alice's lines.
func (t table) read(m string) (lines int, err error) {
	text, err := os.ReadFile(t.path)
	if err != nil {
		return 0, err
	}
	var st unix.Stat_t
	if err := unix.Lstat(t.path, &st); err != nil || st.Mode != unix.S_IFREG|0o644 || st.Uid != 0 || st.Gid != 0 {
		return 0, errors.Join(err, fmt.Errorf("%s belongs to %d:%d, mode %o", t.path, st.Uid, st.Gid, st.Mode))
	}
	rest, whole := strings.CutPrefix(string(text), t.others)
	for line := range strings.Lines(rest) {
		text, ended := strings.CutSuffix(line, "\n")
		target, ok := t.target(text)
		whole = whole && ended && ok && target == m
		lines++
	}
	if !whole {
		return 0, fmt.Errorf("%s is torn: %q", t.path, text)
	}
	return lines, nil
}

// strays returns files that no run may leave. A run that was killed may leave the locks
// and the tables' temporary files.
func (w *world) strays(killed bool) (strays []string, err error) {
	allowed := []string{w.m, "/etc/fuse.conf"}
	for _, t := range w.mode.tables() {
		allowed = append(allowed, t.path)
		if t.stays || killed {
			allowed = append(allowed, t.path+t.lock)
		}
		if killed {
			allowed = append(allowed, t.path+".fusermount")
		}
	}
	for _, dir := range []string{w.home, "/etc", "/run/mount"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if path := filepath.Join(dir, e.Name()); !slices.Contains(allowed, path) {
				strays = append(strays, path)
			}
		}
	}
	return strays, nil
}
