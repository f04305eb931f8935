package rawfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
