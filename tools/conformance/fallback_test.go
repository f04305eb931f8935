package conformance

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// A security module or a seccomp filter that was written for mount(2) refuses any
// call of the new mount API, in its own words. The mount is made all the same, by
// the call that is known to it.
func TestFallbackToMount2(t *testing.T) {
	for _, name := range []string{"fsopen", "fsconfig", "fsmount", "move_mount"} {
		for _, errno := range []unix.Errno{unix.ENOSYS, unix.EPERM, unix.EACCES} {
			t.Run(name+"/"+unix.ErrnoName(errno), func(t *testing.T) {
				call, mountpoint := asUser(t)
				call.Deny = fusetest.Deny(errno, name)
				call.Args = []string{"-o", "ro,fsname=a,subtype=b", mountpoint}
				wantMounted(t, run(t, call), mountpoint)
				wantUnmounted(t, call, mountpoint)

				call.Deny = slices.Concat(call.Deny, kill("mount"))
				wantKilled(t, run(t, call), mountpoint)

				call.Deny = slices.Concat(fusetest.Deny(errno, name), fusetest.Deny(unix.EACCES, "mount"))
				wantRefusal(t, run(t, call), mountpoint, "mount failed: Permission denied")
			})
		}
	}
}
