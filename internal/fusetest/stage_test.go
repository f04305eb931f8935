package fusetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

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

func TestDirCleansUp(t *testing.T) {
	NeedDevice(t)
	var dir string
	t.Run("use", func(t *testing.T) {
		dir = Dir(t, 0)
		// Two mounts on each other and a hung one: none may be asked.
		for range 2 {
			s, err := Mount(dir, hello, MountOptions{Server: Options{HangBeforeInit: true}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		if stack := MountsAt(t, dir); len(stack) != 2 || stack[1].Parent != stack[0].ID {
			t.Errorf("stack %+v", stack)
		}
	})
	if _, ok := FindMount(t, dir); ok {
		t.Error("a mount is left")
	}
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Error(err)
	}
}

func TestMountsAt(t *testing.T) {
	const text = `30 1 0:1 / / rw - tmpfs a rw
45 40 0:2 / /m\040\134x rw,nosuid - fuse.x b\011c rw,user_id=0
40 30 0:3 /sub /m\040\134x rw shared:1 master:2 - ext4 /dev/x rw,data=ordered
`
	lines, err := parseMountinfo([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	stack := mountsAt(lines, `/m \x`)
	if len(stack) != 2 || stack[0].ID != 40 || stack[1].ID != 45 || stack[1].Source != "b\tc" || len(stack[0].Tags) != 2 {
		t.Errorf("%+v", stack)
	}
	for _, bad := range []string{"", "1 2 3", "x 1 0:1 / / rw - a b c", "1 2 0:1 / / rw a b c"} {
		if _, err := parseLine(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestFileCapability(t *testing.T) {
	NeedNamespace(t)
	path := InstallHelper(t, "/proc/self/exe", Setcap)
	buf := make([]byte, 64)
	n, err := unix.Getxattr(path, "security.capability", buf)
	if err != nil || n < 20 || buf[6] != 0x20 { // bit 21 of the permitted set
		t.Errorf("%x, %v", buf[:max(n, 0)], err)
	}
}
