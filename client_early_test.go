package fusermount_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// The context ends when the caller has begun to serve the device, and nobody has
// begun to mount. A mount is tried all the same, and refused: whoever reads the
// device comes to an end.
func TestSyncInitCancelledEarly(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		if !w.knowsSync(t) {
			return
		}
		for _, auto := range []bool{false, true} {
			if auto && w.direct {
				w.o.Helper, w.o.ForceDirect = ours(t), true
			}
			dir := fusetest.Dir(t, w.uid)
			check := wantNoLeak(t)
			for i := range 10 {
				ctx, cancel := context.WithCancel(within(t))
				ended := make(chan error, 1)
				err := as(w.uid, func() error {
					m, err := fusermount.Mount(ctx, dir, w.with(func(o *fusermount.Options) {
						o.AutoUnmount = auto
						o.SyncInit = func(device *os.File) error {
							defer cancel()
							if i%2 == 0 {
								go func() { ended <- readAll(device, func() {}) }()
								return nil
							}
							s, err := handOn(device, fusetest.Options{})
							if err == nil {
								go func() { ended <- errors.Join(s.Wait(), unix.ENODEV) }()
							}
							return err
						}
					}))
					if err == nil { // all was over before the end was noticed
						return m.Close()
					}
					return err
				})
				if err != nil {
					wantError(t, err, context.Canceled)
				}
				wantNothing(t, dir)
				select {
				case err := <-ended:
					if !errors.Is(err, unix.ENODEV) && !errors.Is(err, fs.ErrClosed) { // it has not begun, then
						t.Errorf("the daemon: %v", err)
					}
				case <-time.After(patience):
					t.Fatal("the device is still read")
				}
			}
			check()
		}
	})
}
