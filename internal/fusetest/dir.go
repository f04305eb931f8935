package fusetest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

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

// DetachBelow lazily unmounts everything at and below dir, whatever state its
// daemons are in.
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

// outermost returns the shortest mountpoint at or below dir: no other mount
// lies on the way to it, so that no daemon is asked, and what is mounted
// inside goes with it.
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
