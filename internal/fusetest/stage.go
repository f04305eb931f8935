package fusetest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// stageDir is on a tmpfs of its own, inside the namespace's own /run.
const stageDir = "/run/fusetest"

// Stage returns the directory in which tests may create anything: a tmpfs of mode 0755,
// owned by root, on which setuid bits and (for root) device nodes work. It is empty when
// there is none (Have is None).
//
// The namespace also has its own /run, with only the stage, its own /etc with a copy of
// what programs need and no fuse.conf, and a /dev/fuse that everybody may open. Nothing
// of this exists outside.
func Stage() string {
	if Have() == None {
		return ""
	}
	return stageDir
}

// setupStage makes the stage in a new namespace.
func setupStage() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return &os.PathError{Op: "mount --make-rprivate", Path: "/", Err: err}
	}
	etc, err := readEtc()
	if err != nil {
		return err
	}
	if err := mountTmpfs("/run"); err != nil {
		return err
	}
	if err := os.Mkdir(stageDir, 0o755); err != nil {
		return err
	}
	for _, dir := range []string{stageDir, "/etc"} {
		if err := mountTmpfs(dir); err != nil {
			return err
		}
	}
	if err := writeEtc(etc); err != nil {
		return err
	}
	// A file would not be kept by mount(8), on which the C helper relies.
	if err := os.Symlink("../proc/self/mounts", "/etc/mtab"); err != nil {
		return err
	}
	// Tests mount fusectl where they need it. One that is there may be locked.
	if err := mountTmpfs(ControlPath); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, name := range []string{"bin", "dir"} {
		if err := mkdirMode(filepath.Join(stageDir, name), 0o755); err != nil {
			return err
		}
	}
	deviceRemedy = setupDevice()
	return nil
}

func mountTmpfs(dir string) error {
	if err := unix.Mount("fusetest", dir, "tmpfs", 0, "mode=0755"); err != nil {
		return &os.PathError{Op: "mount tmpfs", Path: dir, Err: err}
	}
	return nil
}

// mkdirMode makes a directory with a mode that the umask does not change.
func mkdirMode(dir string, mode os.FileMode) error {
	if err := os.Mkdir(dir, mode); err != nil {
		return err
	}
	return os.Chmod(dir, mode)
}

// etcNames are what programs need of /etc, as far as it exists. fuse.conf is for each
// test to write.
var etcNames = []string{
	"passwd", "group", "nsswitch.conf", "ld.so.cache", "ld.so.conf", "ld.so.conf.d",
	"resolv.conf", "hosts", "alternatives", "localtime",
	"groff", "manpath.config",
}

// etcEntry is one copied file. A link is copied as a link.
type etcEntry struct {
	path string
	mode fs.FileMode
	link string
	data []byte
}

// readEtc reads the files for the private /etc, parents before children.
func readEtc() ([]etcEntry, error) {
	var entries []etcEntry
	for _, name := range etcNames {
		err := filepath.WalkDir(filepath.Join("/etc", name), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
				return nil
			}
			if err != nil {
				return err
			}
			e, err := readEntry(path)
			if err == nil {
				entries = append(entries, e)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return entries, nil
}

func readEntry(path string) (etcEntry, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return etcEntry{}, err
	}
	e := etcEntry{path: path, mode: info.Mode()}
	switch {
	case e.mode&fs.ModeSymlink != 0:
		e.link, err = os.Readlink(path)
	case e.mode.IsRegular():
		e.data, err = os.ReadFile(path)
	}
	return e, err
}

// writeEtc fills the private /etc.
func writeEtc(entries []etcEntry) error {
	for _, e := range entries {
		var err error
		switch {
		case e.link != "":
			err = os.Symlink(e.link, e.path)
		case e.mode.IsDir():
			err = mkdirMode(e.path, e.mode.Perm())
		case e.mode.IsRegular():
			err = os.WriteFile(e.path, e.data, e.mode.Perm())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Dir returns a fresh directory on the stage, of mode 0755 and owned by uid,
// with the gid of the same number. At the test's end all mounts in it are
// detached and it is removed. It skips the test where there is no stage.
func Dir(t testing.TB, uid uint32) string {
	t.Helper()
	NeedNamespace(t)
	if uid != 0 {
		NeedRoot(t)
	}
	dir, remove, err := MakeDir(uid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := remove(); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// MakeDir is Dir for a program that is no test; remove cleans up.
func MakeDir(uid uint32) (dir string, remove func() error, err error) {
	dir, err = os.MkdirTemp(filepath.Join(stageDir, "dir"), "t")
	if err != nil {
		return "", nil, err
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chown(dir, int(uid), int(uid))); err != nil {
		return "", nil, errors.Join(err, os.Remove(dir))
	}
	return dir, func() error { return errors.Join(DetachBelow(dir), os.RemoveAll(dir)) }, nil
}

// DetachBelow lazily unmounts everything at and below dir, whatever the state of its
// daemons.
func DetachBelow(dir string) error {
	for {
		lines, err := readMountinfo()
		if err != nil {
			return err
		}
		target := outermost(lines, dir)
		if target == "" {
			return nil
		}
		if err := unix.Unmount(target, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return &os.PathError{Op: "umount", Path: target, Err: err}
		}
	}
}

// outermost returns the shortest mountpoint at or below dir. The path to it leads through
// no other mount, so that no daemon is asked, and the mounts inside go with it.
func outermost(lines []Line, dir string) string {
	best := ""
	for _, l := range lines {
		inside := l.Mountpoint == dir || strings.HasPrefix(l.Mountpoint, dir+"/")
		if inside && (best == "" || len(l.Mountpoint) < len(best)) {
			best = l.Mountpoint
		}
	}
	return best
}
