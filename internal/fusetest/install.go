package fusetest

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// InstallMode is how a helper gets its privileges.
type InstallMode string

// The ways to install a helper; it always belongs to root.
const (
	Setuid InstallMode = "setuid" // mode 04755
	Setcap InstallMode = "setcap" // mode 0755 and cap_sys_admin+ep
	Plain  InstallMode = "plain"  // mode 0755, no privilege
)

// InstallHelper copies a program to the stage, under its own name and in a
// directory that everybody may enter, and returns the copy's path. It is
// removed at the test's end. It skips the test where there is no stage.
func InstallHelper(t testing.TB, src string, mode InstallMode) string {
	t.Helper()
	NeedNamespace(t)
	path, remove, err := Install(src, mode)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := remove(); err != nil {
			t.Error(err)
		}
	})
	return path
}

// Install is InstallHelper for a program that is no test, or for TestMain;
// remove cleans up.
func Install(src string, mode InstallMode) (path string, remove func() error, err error) {
	dir, err := os.MkdirTemp(filepath.Join(stageDir, "bin"), string(mode))
	if err != nil {
		return "", nil, err
	}
	path = filepath.Join(dir, filepath.Base(src))
	err = errors.Join(os.Chmod(dir, 0o755), copyProgram(src, path))
	if err == nil {
		err = grant(path, mode)
	}
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return path, func() error { return os.RemoveAll(dir) }, nil
}

// copyProgram copies a file. It keeps other goroutines from forking: the child would have
// the copy open for writing for a moment, and executing it would fail with ETXTBSY.
func copyProgram(src, dst string) (err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// grant sets the program's owner, mode and capability, in this order, since a change of
// the owner clears the others.
func grant(path string, mode InstallMode) error {
	if err := os.Chown(path, 0, 0); err != nil {
		return err
	}
	perm := os.FileMode(0o755)
	if mode == Setuid {
		perm |= os.ModeSetuid
	}
	if err := os.Chmod(path, perm); err != nil {
		return err
	}
	if mode != Setcap {
		return nil
	}
	if err := unix.Setxattr(path, "security.capability", fileCapability(unix.CAP_SYS_ADMIN), 0); err != nil {
		return &os.PathError{Op: "setxattr", Path: path, Err: err}
	}
	return nil
}

// fileCapability is struct vfs_cap_data, revision 2, with one capability below
// 32 permitted and effective; always little-endian.
func fileCapability(capability uint) []byte {
	const revision2, effective = 0x02000000, 1
	words := []uint32{revision2 | effective, 1 << capability, 0, 0, 0}
	var b []byte
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}
