package fusetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fusetest/testsys"
)

func TestStage(t *testing.T) {
	NeedNamespace(t)
	l, ok := FindMount(t, Stage())
	if !ok || l.FSType != "tmpfs" || l.HasOption("nosuid") {
		t.Errorf("stage %+v", l)
	}
	for _, path := range []string{"/etc/fuse.conf", "/run/mount/utab"} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Error(err)
		}
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
	if target, err := os.Readlink("/etc/mtab"); err == nil && !strings.Contains(target, "mounts") {
		t.Errorf("/etc/mtab leads to %s", target)
	}
}

func TestDeviceIsForAll(t *testing.T) {
	NeedRoot(t)
	NeedDevice(t)
	err := AsUser(4711, 4711, func() error {
		dev, err := OpenDevice()
		if err == nil {
			testsys.MustClose(dev)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
