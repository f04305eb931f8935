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
	errnos := []unix.Errno{unix.ENOSYS, unix.EPERM, unix.EACCES}
	if testing.Short() {
		errnos = errnos[:1]
	}
	for _, name := range []string{"fsopen", "fsconfig", "fsmount", "move_mount"} {
		for _, errno := range errnos {
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

// A kernel that knows no subtypes tells mount(2) that it knows no such type. The
// source then begins with the subtype, unless it is the subtype already.
func TestWithoutSubtypes(t *testing.T) {
	fusetest.NeedIntercept(t)
	for options, source := range map[string]string{"subtype=b,fsname=a": "b#a", "subtype=b": "b"} {
		for _, errno := range []unix.Errno{unix.EPERM, unix.EACCES} {
			t.Run(options+"/"+unix.ErrnoName(errno), func(t *testing.T) {
				call, mountpoint := asUser(t)
				call.Args = []string{"-o", options, mountpoint}
				call.Deny = fusetest.Deny(errno, "fsopen")
				var types []string
				call.Intercept = func(s fusetest.Syscall) fusetest.Verdict {
					if s.Name != "mount" {
						return fusetest.Continue
					}
					fstype, err := s.Text(2)
					if err != nil {
						t.Error(err)
					}
					if types = append(types, fstype); len(types) > 1 {
						return fusetest.Continue
					}
					return fusetest.Fail(unix.ENODEV)
				}
				wantMounted(t, run(t, call), mountpoint)
				if !slices.Equal(types, []string{"fuse.b", "fuse"}) {
					t.Errorf("tried the types %q", types)
				}
				if line, _ := fusetest.FindMount(t, mountpoint); line.FSType != "fuse" || line.Source != source {
					t.Errorf("type %q, source %q; want fuse, %q", line.FSType, line.Source, source)
				}
				call.Intercept = nil
				wantUnmounted(t, call, mountpoint)
			})
		}
	}
}
