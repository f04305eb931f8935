//go:build linux

package fusermount_test

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
)

// handOn gives a daemon in another process a copy of the device; the Mounted
// keeps its own.
func handOn(device *os.File, opts fuseserver.Options) (*fuseserver.Server, error) {
	fd, err := unix.FcntlInt(device.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return fuseserver.ServeOptions(os.NewFile(uintptr(fd), "device"), hello, opts), nil
}

// knowsSync says whether this way can have the daemon asked first.
func (w way) knowsSync(t *testing.T) bool {
	t.Helper()
	device, err := fusetest.OpenDevice()
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	return fusetest.SyncInit(device) == nil && !strings.Contains(t.Name(), "/C/") // libfuse 3.14
}

// The daemon is served before there is a mount, where that can be done, and
// otherwise right after.
func TestSyncInit(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		for _, auto := range []bool{false, true} {
			check := wantNoLeak(t)
			dir := fusetest.Dir(t, w.uid)
			var s *fuseserver.Server
			calls, found := 0, false
			m := mountAs(t, w.uid, dir, w.with(func(o *fusermount.Options) {
				o.FSName, o.AutoUnmount = "sync,init", auto
				if auto && w.direct {
					o.Method, o.Helper = fusermount.MethodDirect, ours(t)
				}
				o.SyncInit = func(device *os.File) (_ func(), err error) {
					calls++
					_, found, err = fusetest.TopMount(dir)
					if err == nil {
						s, err = handOn(device, fuseserver.Options{})
					}
					return nil, err
				}
			}))
			if m.Info().SyncInit != w.knowsSync(t) || found == m.Info().SyncInit || calls != 1 {
				t.Errorf("sync %v, mounted before %v, %d calls", m.Info().SyncInit, found, calls)
			}
			if m.Info().SyncInit && s.Count(fuseserver.OpInit) != 1 {
				t.Error("mounted, and INIT was not answered")
			}
			ready(t, s)
			if line := mounted(t, dir); line.Source != "sync,init" {
				t.Errorf("%+v", line)
			}
			wantServed(t, w.uid, dir)
			if err := w.unmount(t, m); err != nil {
				t.Error(err)
			}
			if err := errors.Join(m.Close(), s.Close()); err != nil {
				t.Error(err)
			}
			check()
		}
	})
}

// An error of SyncInit ends Mount, and is not the helper's: also one that means
// something else where it comes from a helper's socket.
func TestSyncInitRefused(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		w.o.Helper = cmp.Or(w.o.Helper, ours(t)) // a direct way that seems closed is no reason to run it
		for _, reason := range []error{errors.New("the reason"), io.EOF, unix.EPERM, &fs.PathError{Op: "open", Path: "/config", Err: unix.EACCES}, unix.ENOSYS} {
			dir := fusetest.Dir(t, w.uid)
			check := wantNoLeak(t)
			var device *os.File
			calls := 0
			err := as(w.uid, func() error {
				_, err := fusermount.Mount(within(t), dir, w.with(func(o *fusermount.Options) {
					o.SyncInit = func(f *os.File) (func(), error) { device = f; calls++; return nil, reason }
				}))
				return err
			})
			if calls != 1 {
				t.Errorf("%v: %d calls", reason, calls)
			}
			e := wantError(t, err, reason)
			if e.Helper != "" || e.ExitStatus != 0 || e.Messages != nil || e.Error() != "mount "+dir+": SyncInit: "+reason.Error() {
				t.Errorf("%+v: %v", *e, e)
			}
			wantNothing(t, dir)
			if err := device.Close(); !errors.Is(err, fs.ErrClosed) {
				t.Errorf("the device is open: %v", err)
			}
			check()
		}
	})
}

// A SyncInit that panics or ends its goroutine leaves no more behind than one that
// returns an error.
func TestSyncInitUnwinds(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		for name, unwind := range map[string]func(){"panic": func() { panic("SyncInit") }, "Goexit": runtime.Goexit} {
			dir := fusetest.Dir(t, w.uid)
			check := wantNoLeak(t)
			if w.uid != 0 && name == "Goexit" {
				continue // it would end the thread that is the user's
			}
			var device *os.File
			var recovered any
			var over sync.WaitGroup
			over.Add(1)
			go func() {
				defer over.Done()

				err := as(w.uid, func() error {
					defer func() { recovered = recover() }()
					_, err := fusermount.Mount(within(t), dir, w.with(func(o *fusermount.Options) {
						o.SyncInit = func(f *os.File) (func(), error) { device = f; unwind(); return nil, nil }
					}))
					t.Errorf("%s: Mount returned %v", name, err)
					return err
				})
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}()
			over.Wait()
			if (recovered != nil) != (name == "panic") {
				t.Errorf("%s: recovered %v", name, recovered)
			}
			wantNothing(t, dir)
			if err := device.Close(); !errors.Is(err, fs.ErrClosed) {
				t.Errorf("%s: the device is open: %v", name, err)
			}
			check()
		}
	})
}

// The context ends while the kernel waits for a daemon that is silent: one that
// has read INIT, and one that has not. Here the daemon is this very process.
func TestSyncInitCancelled(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		if !w.knowsSync(t) {
			return // Mount does not wait for the daemon there
		}
		for _, reads := range []bool{false, true} {
			dir := fusetest.Dir(t, w.uid)
			check := wantNoLeak(t)
			ctx, cancel := context.WithCancel(within(t))
			ended := make(chan error, 1)
			start := time.Now()
			err := as(w.uid, func() error {
				_, err := fusermount.Mount(ctx, dir, w.with(func(o *fusermount.Options) {
					o.SyncInit = func(device *os.File) (func(), error) {
						if !reads {
							ended <- unix.ENODEV
							time.AfterFunc(100*time.Millisecond, cancel)
							return nil, nil
						}
						return serveBy(func() { ended <- readAll(device, cancel) }), nil
					}
				}))
				return err
			})
			wantError(t, err, context.Canceled)
			if took := time.Since(start); took > soon {
				t.Errorf("took %v", took)
			}
			wantNothing(t, dir)
			// Whoever reads the device comes to an end.
			if err := <-ended; !errors.Is(err, unix.ENODEV) {
				t.Errorf("the daemon: %v", err)
			}
			check()
		}
	})
}

// serveBy starts a loop, and returns what waits for its end.
func serveBy(loop func()) (stop func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		loop()
	}()
	return func() { <-ended }
}

// readAll reads requests and answers none.
func readAll(device *os.File, first func()) error {
	buf := make([]byte, 1<<17)
	for {
		if _, err := device.Read(buf); err != nil {
			return err
		}
		first()
	}
}

// A daemon that refuses INIT has no mount.
func TestSyncInitDaemonFails(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		if !w.knowsSync(t) {
			return
		}
		dir := fusetest.Dir(t, w.uid)
		check := wantNoLeak(t)
		err := as(w.uid, func() error {
			_, err := fusermount.Mount(within(t), dir, w.with(func(o *fusermount.Options) {
				o.SyncInit = func(device *os.File) (func(), error) {
					return serveBy(func() { refuseOne(device) }), nil
				}
			}))
			return err
		})
		wantError(t, err, unix.ENOTCONN)
		wantNothing(t, dir)
		check()
	})
}

// refuseOne answers one request with EIO.
func refuseOne(device *os.File) {
	buf := make([]byte, 1<<17)
	if n, err := device.Read(buf); err != nil || n < 16 {
		return
	}
	eio := unix.EIO
	answer := binary.NativeEndian.AppendUint32(nil, 16)
	answer = binary.NativeEndian.AppendUint32(answer, uint32(-int32(eio)))
	if _, err := device.Write(append(answer, buf[8:16]...)); err != nil {
		panic(err)
	}
}

// The context ends when the caller has begun to serve the device, and no mount has
// begun. A mount is tried all the same, and refused: the process that reads the
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
						o.SyncInit = func(device *os.File) (func(), error) {
							defer cancel()
							if i%2 == 0 {
								return serveBy(func() { ended <- readAll(device, func() {}) }), nil
							}
							s, err := handOn(device, fuseserver.Options{})
							if err == nil {
								go func() { ended <- errors.Join(s.Wait(), unix.ENODEV) }()
							}
							return nil, err
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
					if !errors.Is(err, unix.ENODEV) {
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
		Helper: helper, Method: fusermount.MethodHelper, SyncInit: func(*os.File) (func(), error) { return nil, nil },
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
