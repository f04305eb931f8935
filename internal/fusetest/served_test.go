package fusetest_test

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
)

// These tests of directories and ids have mounts that are served.

func TestDirCleansUp(t *testing.T) {
	fusetest.NeedDevice(t)
	var dir string
	t.Run("use", func(t *testing.T) {
		dir = fusetest.Dir(t, 0)
		// Two mounts on each other and a hung one: none may be asked.
		for range 2 {
			s, err := fuseserver.Mount(dir, fuseserver.Tree{}, fuseserver.MountOptions{Server: fuseserver.Options{HangBeforeInit: true}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		if stack := fusetest.MountsAt(t, dir); len(stack) != 2 || stack[1].Parent != stack[0].ID {
			t.Errorf("stack %+v", stack)
		}
	})
	if _, ok := fusetest.FindMount(t, dir); ok {
		t.Error("a mount is left")
	}
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Error(err)
	}
}

// TestAsUserMount: the kernel lets nobody but the owner in, not even root.
func TestAsUserMount(t *testing.T) {
	fusetest.NeedRoot(t)
	fusetest.NeedDevice(t)
	path := fusetest.Dir(t, 1000)
	srv, err := fuseserver.Mount(path, fuseserver.Tree{}, fuseserver.MountOptions{UID: 1000, GID: 1000})
	if err != nil {
		t.Fatal(err)
	}
	_, rootErr := os.ReadDir(path)
	userErr := fusetest.AsUser(1000, 1000, func() error {
		_, err := os.ReadDir(path)
		return err
	})
	if !errors.Is(rootErr, unix.EACCES) || userErr != nil {
		t.Errorf("root %v, owner %v", rootErr, userErr)
	}
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
}
