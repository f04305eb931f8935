//go:build linux

package fusermount_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
)

// soon is how long a helper that hangs may hold Mount up after the context's end.
const soon = 10 * time.Second

// Helpers that fail, each in its way, leave nothing behind.
func TestBrokenHelpers(t *testing.T) {
	for fake, want := range map[string]struct {
		kinds  []error
		status int
		text   string
	}{
		"nothing":   {[]error{fusermount.ErrBadReply}, 0, "no device"},
		"mute":      {nil, 3, "exit status 3"},
		"die":       {nil, -1, "killed"},
		"flood":     {[]error{unix.ENODEV}, 1, "mount failed: No such device"},
		"held":      {[]error{unix.EINVAL}, 1, "mount failed: Invalid argument"},
		"byte":      {[]error{fusermount.ErrBadReply}, 0, "1 bytes with 0 descriptors"},
		"two":       {[]error{fusermount.ErrBadReply}, 0, "2 descriptors"},
		"null":      {[]error{fusermount.ErrBadReply}, 0, "not the fuse device"},
		"unmounted": {[]error{fusermount.ErrBadReply}, 0, "not mounted"},
		"mount-die": {nil, -1, "killed"},
	} {
		t.Run(fake, func(t *testing.T) {
			helper, dir := fakeHelper(t, fake), fusetest.Dir(t, 0)
			defer wantNoLeak(t)()
			_, err := fusermount.Mount(within(t), dir, &fusermount.Options{Helper: helper, Method: fusermount.MethodHelper})
			e := wantError(t, err, want.kinds...)
			if e.ExitStatus != want.status || !strings.Contains(e.Error(), want.text) || e.Helper != helper {
				t.Errorf("%v (status %d), want %q, status %d", e, e.ExitStatus, want.text, want.status)
			}
			wantNothing(t, dir)
		})
	}
}

// The context ends while a helper is at some stage.
func TestCancel(t *testing.T) {
	for _, fake := range []string{"hang", "hang-child", "endless", "mount-hang"} {
		t.Run(fake, func(t *testing.T) {
			helper, dir := fakeHelper(t, fake), fusetest.Dir(t, 0)
			mounts := fake == "mount-hang"
			wantCancelled(t, dir, &fusermount.Options{Helper: helper, Method: fusermount.MethodHelper}, func() bool {
				_, found := fusetest.FindMount(t, dir)
				return found || !mounts && len(living(t)) > 0
			})
		})
	}
}

// wantCancelled cancels a Mount when its helper has come far enough.
func wantCancelled(t *testing.T, dir string, o *fusermount.Options, far func() bool) {
	t.Helper()
	defer wantNoLeak(t)()
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	result := make(chan error, 1)
	go func() {
		_, err := fusermount.Mount(ctx, dir, o)
		result <- err
	}()
	eventually(t, "the helper comes so far", far)
	start := time.Now()
	cancel()
	err := <-result
	wantError(t, err, context.Canceled)
	if took := time.Since(start); took > soon {
		t.Errorf("took %v", took)
	}
	wantNothing(t, dir)
}

// The stages of sync-init: the context ends before there is a device, and while a
// helper that has sent one neither mounts nor ends.
func TestCancelSyncInit(t *testing.T) {
	for _, fake := range []string{"hang", "sync-silent"} {
		t.Run(fake, func(t *testing.T) {
			helper, dir := fakeHelper(t, fake), fusetest.Dir(t, 0)
			var served atomic.Bool
			waits := fake == "sync-silent" && (way{}).knowsSync(t)
			wantCancelled(t, dir, &fusermount.Options{
				Helper: helper, Method: fusermount.MethodHelper, SyncInit: func(*os.File) (func(), error) { served.Store(true); return nil, nil },
			}, func() bool { return served.Load() || !waits && len(living(t)) > 0 })
		})
	}
}

func TestBrokenSyncInit(t *testing.T) {
	for fake, want := range map[string]struct {
		kinds []error
		text  string
	}{
		"sync-end":   {[]error{fusermount.ErrBadReply}, ""},
		"sync-short": {[]error{fusermount.ErrBadReply}, ""},
		"sync-error": {[]error{unix.ENODEV}, "could not mount: no such device"},
		"null":       {[]error{fusermount.ErrBadReply}, "not the fuse device"},
		"nothing":    {[]error{fusermount.ErrBadReply}, "no device"},
	} {
		t.Run(fake, func(t *testing.T) {
			helper, dir := fakeHelper(t, fake), fusetest.Dir(t, 0)
			defer wantNoLeak(t)()
			_, err := fusermount.Mount(within(t), dir, &fusermount.Options{
				Helper: helper, Method: fusermount.MethodHelper, SyncInit: func(*os.File) (func(), error) { return nil, nil },
			})
			if e := wantError(t, err, want.kinds...); !strings.Contains(e.Error(), want.text) {
				t.Errorf("%v, want %q", e, want.text)
			}
			wantNothing(t, dir)
		})
	}
}

// A context that has ended before anything began.
func TestCancelledBefore(t *testing.T) {
	dir := fusetest.Dir(t, 0)
	defer wantNoLeak(t)()
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the cause")
	cancel(cause)
	for _, o := range []*fusermount.Options{nil, {Method: fusermount.MethodHelper, Helper: "/bin/false"}} {
		_, err := fusermount.Mount(ctx, dir, o)
		wantError(t, err, cause, context.Canceled)
	}
	wantError(t, fusermount.Unmount(ctx, dir, nil), cause, context.Canceled)
	wantError(t, fusermount.Abort(ctx, dir), cause, context.Canceled)
	wantNothing(t, dir)
}

// A cause does not hide the context's own error, wherever the end is noticed.
func TestCause(t *testing.T) {
	dir := fusetest.Dir(t, 0)
	m := mountAs(t, 0, dir, nil)
	busy, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(busy)
	hangs := fakeHelper(t, "hang")
	for name, call := range map[string]func(ctx context.Context) error{
		"Wait": func(ctx context.Context) error { return m.Wait(ctx) },
		"Unmount": func(ctx context.Context) error {
			return m.Unmount(ctx, &fusermount.UnmountOptions{Policy: fusermount.UnmountRetry})
		},
		"Mount, by helper": func(ctx context.Context) error { return mountWith(ctx, t, hangs) },
		"Mount, directly":  func(ctx context.Context) error { return mountHung(ctx, t) },
		"Mount, SyncInit":  func(ctx context.Context) error { return mountSilent(ctx, t) },
	} {
		cause := errors.New("the cause")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, cause)
		if err := call(ctx); !errors.Is(err, cause) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}

func mountWith(ctx context.Context, t *testing.T, helper string) error {
	t.Helper()
	_, err := fusermount.Mount(ctx, fusetest.Dir(t, 0), &fusermount.Options{Helper: helper, Method: fusermount.MethodHelper})
	return err
}

// mountHung mounts on top of a mount whose daemon hangs.
func mountHung(ctx context.Context, t *testing.T) error {
	t.Helper()
	dir := fusetest.Dir(t, 0)
	s := serve(t, mountAs(t, 0, dir, nil), fuseserver.Options{})
	s.Hang()
	defer s.Resume()
	_, err := fusermount.Mount(ctx, dir, nil)
	return err
}

// mountSilent mounts for a daemon that does not answer; where the kernel would not
// wait for it, there is only the end of the context.
func mountSilent(ctx context.Context, t *testing.T) error {
	t.Helper()
	if !(way{}).knowsSync(t) {
		<-ctx.Done()
	}
	_, err := fusermount.Mount(ctx, fusetest.Dir(t, 0), &fusermount.Options{SyncInit: func(*os.File) (func(), error) { return nil, nil }})
	return err
}

// A helper that hangs while it unmounts.
func TestCancelUnmount(t *testing.T) {
	fusetest.NeedDevice(t)
	dir := fusetest.Dir(t, 0)
	m := mountAs(t, 0, dir, nil)
	hangs := fakeHelper(t, "hang")
	defer wantNoLeak(t)()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	fusetest.NeedRoot(t)
	err := as(user, func() error { return m.Unmount(ctx, &fusermount.UnmountOptions{Helper: hangs}) })
	wantError(t, err, context.DeadlineExceeded)
	if mounted(t, dir); errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
}

// Many mounts at once, each served, watched and unmounted, leave nothing: no
// descriptor, goroutine, process or mount.
func TestConcurrent(t *testing.T) {
	const many = 200
	ways(t, func(t *testing.T, w way) {
		dirs := make([]string, many)
		for i := range dirs {
			dirs[i] = fusetest.Dir(t, w.uid)
		}
		check := wantNoLeak(t)
		ids := make([]uint64, many)
		var all sync.WaitGroup
		for i, dir := range dirs {
			all.Add(1)
			go func() {
				defer all.Done()

				err := as(w.uid, func() (err error) {
					ids[i], err = roundTrip(t, w, dir, i)
					return err
				})
				if err != nil {
					t.Errorf("%d: %v", i, err)
				}
			}()
		}
		all.Wait()
		seen := map[uint64]bool{}
		for _, id := range ids {
			if id == 0 || seen[id] {
				t.Errorf("the id %d is not one of its own", id)
			}
			seen[id] = true
		}
		check()
	})
}

// roundTrip mounts, looks and unmounts.
func roundTrip(t *testing.T, w way, dir string, i int) (id uint64, err error) {
	name := fmt.Sprint("number ", i)
	m, err := fusermount.Mount(t.Context(), dir, w.with(func(o *fusermount.Options) {
		o.FSName, o.AutoUnmount = name, i%4 == 0 && !w.direct
	}))
	if err != nil {
		return 0, err
	}
	done := m.Done()
	line, found, err := fusetest.TopMount(dir)
	if err == nil && (!found || line.Source != name || m.Mountpoint() != dir) {
		err = fmt.Errorf("mounted %v: %+v", found, line)
	}
	policy := fusermount.UnmountFail
	if strings.Contains(t.Name(), "/C/") {
		policy = fusermount.UnmountRetry // many at once get in each other's way
	}
	if err = errors.Join(err, m.Unmount(t.Context(), &fusermount.UnmountOptions{Policy: policy})); err == nil {
		<-done
	}
	return m.ID(), errors.Join(err, m.Close())
}

// Children that other parts of the program start meanwhile get neither the
// socket nor the device, nor anything else of ours.
func TestHygiene(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		stop := make(chan struct{})
		inherited := make(chan string, 1)
		var children, mounts sync.WaitGroup
		for range 4 {
			children.Add(1)
			go func() {
				defer children.Done()
				startChildren(t, stop, inherited)
			}()
		}
		for i := range 8 {
			dir := fusetest.Dir(t, w.uid)
			mounts.Add(1)
			go func() {
				defer mounts.Done()

				for range 5 {
					err := as(w.uid, func() error {
						_, err := roundTrip(t, w, dir, i)
						return err
					})
					if err != nil {
						t.Error(err)
						return
					}
				}
			}()
		}
		mounts.Wait()
		close(stop)
		children.Wait()
		select {
		case links := <-inherited:
			t.Errorf("a child has %s", links)
		default:
		}
	})
}

// startChildren starts one child after the other, and tells what one of them has.
func startChildren(t *testing.T, stop <-chan struct{}, inherited chan<- string) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		if links := childsDescriptors(t); links != "" {
			select {
			case inherited <- links:
			default:
			}
		}
	}
}

// childsDescriptors gives what a child has open besides what this process was
// started with.
func childsDescriptors(t *testing.T) (surplus string) {
	out, err := exec.Command("sh", "-c", "for f in /proc/self/fd/*; do echo ${f##*/} $(readlink $f); done").Output()
	if err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(string(out)) {
		_, link, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(link, "socket:") || strings.Contains(link, "fuse") || strings.HasPrefix(link, "anon_inode:") {
			surplus += " " + link
		}
	}
	return surplus
}

// A helper is in a process group of its own, and out of ^C's way.
func TestHelperGroup(t *testing.T) {
	helper := ours(t)
	dir := fusetest.Dir(t, 0)
	m := mountAs(t, 0, dir, &fusermount.Options{Helper: helper, AutoUnmount: true})
	pid := watchers(t, helper)
	if len(pid) != 1 {
		t.Fatalf("watchers %v", pid)
	}
	stat, err := os.ReadFile("/proc/" + pid[0] + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	if f := strings.Fields(string(stat[strings.LastIndex(string(stat), ")")+1:])); f[2] != pid[0] {
		t.Errorf("process group %s of process %s", f[2], pid[0])
	}
	if err := m.Unmount(within(t), nil); err != nil {
		t.Error(err)
	}
}
