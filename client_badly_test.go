package fusermount_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// What a helper has done counts, and not how it ended.
func TestUnmountEndsBadly(t *testing.T) {
	fake := fakeHelper(t, "umount-fail")
	dir := fusetest.Dir(t, 0)
	m := mountAs(t, 0, dir, &fusermount.Options{Helper: ours(t), Method: fusermount.MethodHelper})
	if err := m.Unmount(within(t), &fusermount.UnmountOptions{Helper: fake}); err != nil {
		t.Error(err)
	}
	wantNothing(t, dir)
	mute := fakeHelper(t, "mute")
	m = mountAs(t, 0, dir, &fusermount.Options{Helper: ours(t), Method: fusermount.MethodHelper})
	wantError(t, m.Unmount(within(t), &fusermount.UnmountOptions{Helper: mute}))
	mounted(t, dir)
}

// A policy that there is not is no other one.
func TestUnmountBadPolicy(t *testing.T) {
	m, dir := way{}.mount(t, nil)
	for _, o := range []*fusermount.UnmountOptions{
		{Policy: -1}, {Policy: fusermount.UnmountLazy + 1}, {Method: -1}, {Method: fusermount.MethodHelper + 1},
	} {
		wantError(t, m.Unmount(within(t), o), unix.EINVAL)
		wantError(t, fusermount.Unmount(within(t), dir, o), unix.EINVAL)
	}
	mounted(t, dir)
}
