package fusermount_test

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// handOn gives a daemon in another process a copy of the device; the Mounted
// keeps its own.
func handOn(device *os.File, opts fusetest.Options) (*fusetest.Server, error) {
	fd, err := unix.FcntlInt(device.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return fusetest.ServeOptions(os.NewFile(uintptr(fd), "device"), hello, opts), nil
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
			var s *fusetest.Server
			calls, found := 0, false
			m := mountAs(t, w.uid, dir, w.with(func(o *fusermount.Options) {
				o.FSName, o.AutoUnmount = "sync,init", auto
				if auto && w.direct {
					o.Method, o.Helper = fusermount.MethodDirect, ours(t)
				}
				o.SyncInit = func(device *os.File) (err error) {
					calls++
					_, found, err = fusetest.TopMount(dir)
					if err == nil {
						s, err = handOn(device, fusetest.Options{})
					}
					return err
				}
			}))
			if m.Info().SyncInit != w.knowsSync(t) || found == m.Info().SyncInit || calls != 1 {
				t.Errorf("sync %v, mounted before %v, %d calls", m.Info().SyncInit, found, calls)
			}
			if m.Info().SyncInit && s.Count(fusetest.OpInit) != 1 {
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

// An error of SyncInit's ends Mount, and is nobody else's: also one that means
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
					o.SyncInit = func(f *os.File) error { device = f; calls++; return reason }
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
					o.SyncInit = func(device *os.File) error {
						if !reads {
							ended <- unix.ENODEV
							time.AfterFunc(100*time.Millisecond, cancel)
							return nil
						}
						go func() { ended <- readAll(device, cancel) }()
						return nil
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
				o.SyncInit = func(device *os.File) error {
					go refuseOne(device)
					return nil
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
