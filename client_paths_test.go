package fusermount_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
)

// A path with a NUL is no path, and nothing else.
func TestNUL(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		var before, after unix.Stat_t
		if err := unix.Fstat(0, &before); err != nil {
			t.Fatal(err)
		}
		again, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0) // for the other tests, should it be closed
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(again)
		for _, path := range []string{"a\x00b", "a\x00b/c"} {
			for name, call := range map[string]func() error{
				"Mount":   func() error { _, err := fusermount.Mount(within(t), path, w.with(nil)); return err },
				"Unmount": func() error { return fusermount.Unmount(within(t), path, fusermount.WithHelper(w.o.Helper)) },
				"Abort":   func() error { return fusermount.Abort(within(t), path) },
			} {
				wantError(t, as(w.uid, call), unix.EINVAL)
				if err := unix.Fstat(0, &after); err != nil || after.Ino != before.Ino || after.Dev != before.Dev {
					t.Errorf("%s: descriptor 0: %v", name, err)
					if err := unix.Dup3(again, 0, 0); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	})
}
