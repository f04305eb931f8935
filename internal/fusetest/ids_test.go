package fusetest

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAsUser(t *testing.T) {
	NeedRoot(t)
	dir := Dir(t, 1000)
	err := AsUser(1000, 1001, func() error {
		r, e, s := unix.Getresuid()
		groups, err := unix.Getgroups()
		if r != 1000 || e != 1000 || s != 1000 || unix.Getegid() != 1001 || len(groups) != 1 || groups[0] != 1001 {
			t.Error(r, e, s, unix.Getegid(), groups, err)
		}
		if err := os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600); err != nil {
			t.Error(err)
		}
		return unix.Chroot("/")
	})
	if !errors.Is(err, unix.EPERM) {
		t.Error(err)
	}
	if os.Getuid() != 0 {
		t.Error("the ids leaked to another thread")
	}
}
