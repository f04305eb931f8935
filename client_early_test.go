package fusermount_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
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
				w.o.Helper, w.o.Method = ours(t), fusermount.MethodDirect
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

// The context ends when a helper has said that it does not know the flag, which is
// no reason for anything.
func TestSyncInitUnknownCancelled(t *testing.T) {
	helper, dir := fakeHelper(t, "old"), fusetest.Dir(t, 0)
	defer wantNoLeak(t)()
	ctx := &untilReaped{Context: within(t), log: filepath.Join(fusetest.Dir(t, 0), "pid")}
	t.Setenv("CLIENT_TEST_LOG", ctx.log)
	_, err := fusermount.Mount(ctx, dir, &fusermount.Options{
		Helper: helper, Method: fusermount.MethodHelper, SyncInit: func(*os.File) error { return nil },
	})
	if e := wantError(t, err, context.DeadlineExceeded); e.Messages != nil {
		t.Errorf("%+v", e)
	}
}

// untilReaped is a context that ends when the process whose number is in a file
// has ended and was waited for.
type untilReaped struct {
	context.Context
	log string
}

func (c *untilReaped) Err() error {
	text, err := os.ReadFile(c.log)
	if err != nil {
		return nil
	}
	pid, err := strconv.Atoi(string(text))
	if err != nil || unix.Kill(pid, 0) == nil {
		return nil
	}
	return context.DeadlineExceeded
}

func (*untilReaped) Value(any) any { return nil }

// fakeOld does not know --sync-init, and tells its number.
func fakeOld() int {
	fmt.Fprintln(os.Stderr, os.Args[0]+": unrecognized option '--sync-init'")
	if os.WriteFile(os.Getenv("CLIENT_TEST_LOG"), []byte(strconv.Itoa(os.Getpid())), 0o600) != nil {
		return 98
	}
	return 1
}

func init() { fakes["old"] = fakeOld }
