package fusetest

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestFileCapability(t *testing.T) {
	NeedNamespace(t)
	path := InstallHelper(t, "/proc/self/exe", Setcap)
	buf := make([]byte, 64)
	n, err := unix.Getxattr(path, "security.capability", buf)
	if err != nil || n < 20 || buf[6] != 0x20 { // bit 21 of the permitted set
		t.Errorf("%x, %v", buf[:max(n, 0)], err)
	}
}
