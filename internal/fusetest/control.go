package fusetest

import (
	"testing"

	"golang.org/x/sys/unix"
)

// ControlPath is where fusectl belongs.
const ControlPath = "/sys/fs/fuse/connections"

// Control mounts fusectl until the test's end. It shows the connections of the
// whole machine, those of other namespaces, too.
func Control(t testing.TB) {
	t.Helper()
	NeedRoot(t)
	NeedDevice(t)
	if err := unix.Mount("fusectl", ControlPath, "fusectl", 0, ""); err != nil {
		Skip(t, "use a kernel with fusectl: "+err.Error())
	}
	t.Cleanup(func() {
		if err := unix.Unmount(ControlPath, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}
