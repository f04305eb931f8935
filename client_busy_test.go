package fusermount_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// busy keeps a mount busy until it is released.
func busy(t *testing.T, w way, dir string) (release func()) {
	t.Helper()
	fd := -1
	err := as(w.uid, func() (err error) {
		fd, err = unix.Open(dir, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := unix.Close(fd); err != nil {
			t.Error(err)
		}
	}
}

func TestUnmountBusy(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		m, dir := w.mount(t, nil)
		s := serve(t, m, fusetest.Options{})
		release := busy(t, w, dir)
		e := wantError(t, w.unmount(t, m), unix.EBUSY)
		if e.Op != "unmount" || e.Path != dir || (e.Helper == "") != w.direct || errors.Is(e, fusermount.ErrCovered) {
			t.Errorf("%+v", e)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		options := &fusermount.UnmountOptions{Policy: fusermount.UnmountRetry}
		if w.direct {
			time.AfterFunc(100*time.Millisecond, cancel)
		} else {
			options.Helper = thirdTime(t, w, cancel)
		}
		err := as(w.uid, func() error { return m.Unmount(ctx, options) })
		wantError(t, err, unix.EBUSY, context.Canceled)
		mounted(t, dir)

		time.AfterFunc(50*time.Millisecond, release)
		if err := w.unmount(t, m, fusermount.UnmountRetry); err != nil {
			t.Error(err)
		}
		wantNothing(t, dir)
		select {
		case <-s.Done():
		case <-time.After(patience):
			t.Error("the daemon goes on")
		}
	})
}

// thirdTime is a way's helper that calls f when it is run for the third time.
func thirdTime(t *testing.T, w way, f func()) (helper string) {
	t.Helper()
	dir := fusetest.Dir(t, w.uid)
	script, log := filepath.Join(dir, "helper"), filepath.Join(dir, "log")
	text := "#!/bin/sh\necho >>" + log + "\nexec " + w.o.Helper + " \"$@\"\n"
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		defer f()
		for t.Context().Err() == nil {
			if lines, err := os.ReadFile(log); err == nil && len(lines) >= 3 {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	t.Cleanup(func() { <-over })
	return script
}
