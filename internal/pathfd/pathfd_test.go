package pathfd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	fd, err := Open(unix.AT_FDCWD, dir, unix.O_DIRECTORY)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %#x, %v", flags, err)
	}
	if fd, err := Open(fd, "absent", 0); fd != -1 || !errors.Is(err, unix.ENOENT) {
		t.Errorf("%d, %v", fd, err)
	}
	if fd, err := Open(unix.AT_FDCWD, "a\x00b", 0); fd != -1 || err == nil {
		t.Errorf("with a NUL: %d, %v", fd, err)
	}
}

// A path may be longer than any buffer that is tried first.
func TestPath(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for range 15 {
		dir = filepath.Join(dir, strings.Repeat("x", 200))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	fd, err := Open(unix.AT_FDCWD, dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if got, err := Path(fd); got != dir || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if got, err := Path(fd); got != dir+" (deleted)" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
