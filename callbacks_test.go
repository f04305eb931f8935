//go:build linux

package fusermount_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
)

// When Mount fails after SyncInit, the loop comes to its end by itself, stop waits for
// it, and only then the device is closed.
func TestSyncInitStop(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		if !w.knowsSync(t) {
			return
		}
		dir := fusetest.Dir(t, w.uid)
		check := wantNoLeak(t)
		var device *os.File
		var stops atomic.Int32
		err := as(w.uid, func() error {
			_, err := fusermount.Mount(within(t), dir, w.with(func(o *fusermount.Options) {
				o.SyncInit = func(f *os.File) (func(), error) {
					device = f
					loopEnded := serveBy(func() {
						refuseOne(f)
						if err := readAll(f, func() {}); !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.ENOTCONN) {
							t.Errorf("the loop ended with %v", err)
						}
					})
					return func() {
						stops.Add(1)
						loopEnded()
						if _, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil {
							t.Errorf("the device is closed under its loop: %v", err)
						}
					}, nil
				}
			}))
			return err
		})
		wantError(t, err, unix.ENOTCONN)
		if err := device.Close(); stops.Load() != 1 || !errors.Is(err, fs.ErrClosed) {
			t.Errorf("stop was called %d times, and the device is open: %v", stops.Load(), err)
		}
		wantNothing(t, dir)
		check()
	})
}

// A stop that does not return is not waited for. The device is closed when it does.
func TestSyncInitStopHangs(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		if !w.knowsSync(t) {
			return
		}
		dir := fusetest.Dir(t, w.uid)
		check := wantNoLeak(t)
		var device *os.File
		release := make(chan struct{})
		err := as(w.uid, func() error {
			_, err := fusermount.Mount(within(t), dir, w.with(func(o *fusermount.Options) {
				o.SyncInit = func(f *os.File) (func(), error) {
					device = f
					go refuseOne(f)
					return func() { <-release }, nil
				}
			}))
			return err
		})
		wantError(t, err, unix.ENOTCONN)
		wantNothing(t, dir)
		if _, err := unix.FcntlInt(device.Fd(), unix.F_GETFD, 0); err != nil {
			t.Errorf("the device is closed: %v", err)
		}
		close(release)
		check()
	})
}

// BeforeAttach has the mount before anybody sees it, and after SyncInit.
func TestBeforeAttach(t *testing.T) {
	fusetest.NeedDevice(t)
	for _, syncInit := range []bool{false, true} {
		dir := fusetest.Dir(t, 0)
		check := wantNoLeak(t)
		var s *fuseserver.Server
		o := &fusermount.Options{BeforeAttach: func(mount *os.File) error {
			wantNothing(t, dir)
			if syncInit && s == nil {
				t.Error("SyncInit was not called")
			}
			return unix.MountSetattr(int(mount.Fd()), "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOEXEC})
		}}
		if syncInit {
			o.SyncInit = func(device *os.File) (_ func(), err error) {
				s, err = handOn(device, fuseserver.Options{})
				return nil, err
			}
		}
		m := mountAs(t, 0, dir, o)
		if line := mounted(t, dir); !line.HasOption("noexec") || !line.HasOption("nosuid") || !m.Info().Direct {
			t.Errorf("%+v", line)
		}
		if s != nil {
			ready(t, s)
			wantServed(t, 0, dir)
		}
		if err := m.Unmount(within(t), nil); err != nil { // nothing keeps it busy
			t.Error(err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if s != nil {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		check()
	}
}

// An error, or a panic, of BeforeAttach leaves nothing behind.
func TestBeforeAttachFails(t *testing.T) {
	fusetest.NeedDevice(t)
	dir := fusetest.Dir(t, 0)
	for name, reason := range map[string]error{"error": unix.EPERM, "panic": nil} {
		for _, syncInit := range []bool{false, true} {
			check := wantNoLeak(t)
			o := &fusermount.Options{BeforeAttach: func(*os.File) error {
				if reason == nil {
					panic("BeforeAttach")
				}
				return reason
			}}
			if syncInit {
				o.SyncInit = func(device *os.File) (func(), error) { return serveBy(func() { answerInit(t, device) }), nil }
			}
			var recovered any
			err := func() error {
				defer func() { recovered = recover() }()
				_, err := fusermount.Mount(within(t), dir, o)
				return err
			}()
			if reason != nil {
				wantError(t, err, reason)
			}
			if (recovered != nil) != (name == "panic") {
				t.Errorf("recovered %v", recovered)
			}
			wantNothing(t, dir)
			check()
		}
	}
}

// answerInit answers FUSE_INIT and reads on until the device ends.
func answerInit(t *testing.T, device *os.File) {
	if err := answerOrEnd(device); !errors.Is(err, unix.ENODEV) {
		t.Errorf("the device ended with %v", err)
	}
}

// answerOrEnd answers FUSE_INIT, unless the device ends before.
func answerOrEnd(device *os.File) error {
	buf := make([]byte, 1<<17)
	if _, err := device.Read(buf); err != nil {
		return err
	}
	answer := make([]byte, 16+64) // struct fuse_out_header, struct fuse_init_out
	binary.NativeEndian.PutUint32(answer, uint32(len(answer)))
	copy(answer[8:16], buf[8:16])
	binary.NativeEndian.PutUint32(answer[16:], 7) // the protocol's version
	binary.NativeEndian.PutUint32(answer[20:], 31)
	binary.NativeEndian.PutUint32(answer[36:], 4096)                                // max_write
	if _, err := device.Write(answer); err != nil && !errors.Is(err, unix.ENOENT) { // refused meanwhile
		return err
	}
	return readAll(device, func() {})
}

// Root mounts for a user, who is the owner then, also for the helper.
func TestOwner(t *testing.T) {
	helper := ours(t)
	fusetest.NeedRoot(t)
	dir := fusetest.Dir(t, user)
	mount := func(o fusermount.Options) *fusermount.Mounted {
		o.Owner = &fusermount.Owner{UID: user, GID: user}
		return mountAs(t, 0, dir, &o)
	}
	m := mount(fusermount.Options{})
	if line := mounted(t, dir); !line.HasOption(fmt.Sprintf("user_id=%d", user)) || !line.HasOption(fmt.Sprintf("group_id=%d", user)) {
		t.Errorf("%+v", line)
	}
	serve(t, m, fuseserver.Options{})
	wantServed(t, user, dir)
	if err := as(user, func() error {
		return fusermount.Unmount(within(t), dir, &fusermount.UnmountOptions{Helper: helper})
	}); err != nil {
		t.Error(err)
	}
	// What such a daemon has left is taken away for the same owner.
	device, err := mount(fusermount.Options{}).TakeFile()
	if err == nil {
		err = device.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	mount(fusermount.Options{ReplaceStale: true})
	if lines := fusetest.MountsAt(t, dir); len(lines) != 1 {
		t.Errorf("%+v", lines)
	}
}

// A process that serves a mount, has a file of it as standard input, and one processor,
// would wait for itself when it starts a helper: DIRECTORY OTHER-DIRECTORY HELPER.
func holdOwnFile(args []string) (err error) {
	m, err := fusermount.Mount(ctxOfJob(), args[0], &fusermount.Options{Helper: args[2]})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	wait, err := fuseserver.ServeHere(m.File(), hello)
	if err != nil {
		return err
	}
	fd, err := unix.Open(filepath.Join(args[0], "hello"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil { // fd stays open: a daemon that has said once that it needs no FLUSH is not asked again
		err = unix.Dup3(fd, 0, unix.O_CLOEXEC)
	}
	if err != nil {
		return err
	}
	_, err = fusermount.Mount(ctxOfJob(), args[1], &fusermount.Options{Helper: args[2]})
	if !errors.Is(err, unix.EDEADLK) {
		return fmt.Errorf("mounted: %w", err)
	}
	fmt.Println(err)
	return errors.Join(unix.Close(fd), unix.Close(0), m.Unmount(ctxOfJob(), nil), wait())
}

func init() { jobs["hold own file"] = holdOwnFile }

func TestOwnFile(t *testing.T) {
	helper := ours(t)
	fusetest.NeedRoot(t)
	dir := fusetest.Dir(t, user)
	call := jobCall(t, user, "hold own file", dir, fusetest.Dir(t, user), helper)
	call.Env = append(call.Env, "GOMAXPROCS=1")
	said := doJob(t, call)
	want := fmt.Sprintf("descriptor 0 is a file in %s, which this process serves", dir)
	if !strings.Contains(said, want) {
		t.Errorf("said %q", said)
	}
}
