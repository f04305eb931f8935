package rawfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestText(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	want := strings.Repeat("0123456789\n", 10000)
	if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Text(path); err != nil || got != want {
		t.Errorf("%d bytes, %v; want %d", len(got), err, len(want))
	}
	fd, err := Open(path, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for from := 0; from < len(want); {
		limit := min(4096+from%5, len(want)-from)
		got, err := TextOf(fd, limit)
		if err != nil || got != want[from:from+limit] {
			t.Fatalf("%d bytes from %d on, %v; want %d", len(got), from, err, limit)
		}
		from += limit
	}
	if got, err := TextOf(fd, 1); err != nil || got != "" {
		t.Errorf("at the end: %q, %v", got, err)
	}
	if got, err := Text("/proc/self/mountinfo"); err != nil || !strings.HasSuffix(got, "\n") {
		t.Errorf("a file without a size: %q, %v", got, err)
	}
	if _, err := Text(path + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	if _, err := Text(filepath.Dir(path)); err == nil {
		t.Error("a directory was read")
	}
}
