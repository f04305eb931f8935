package connection

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusemounts"
	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
)

// judged judges one mount as root.
func judged(t *testing.T, patience time.Duration, dir string) (d Daemon, took time.Duration) {
	t.Helper()
	e, _, err := fusemounts.ByPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	daemons, err := Judge(t.Context(), Caller{Admin: true}, Options{Patience: patience}, e)
	if err != nil {
		t.Fatal(err)
	}
	return daemons[0], time.Since(start)
}

// wait has a process of owner's wait for a daemon that hangs.
func wait(t *testing.T, s *fuseserver.Server, dir string) <-chan error {
	t.Helper()
	before := len(s.Asked())
	answered := make(chan error, 1)
	go func() {
		answered <- fusetest.AsUser(owner, owner, func() error {
			var st unix.Stat_t
			return unix.Stat(filepath.Join(dir, "absent"), &st)
		})
	}()
	s.AwaitAsked(t, before)
	return answered
}

func TestJudge(t *testing.T) {
	fusetest.NeedRoot(t)
	s, dir, _ := served(t, fuseserver.Options{})
	<-s.Ready()
	d, took := judged(t, time.Hour, dir)
	if d.State != Alive || !d.Counted || d.Waiting != 0 || d.Stopped || d.Blocked || took > time.Minute {
		t.Errorf("%+v after %v", d, took)
	}
	if known := namesDevices(s); known && !slices.Contains(d.PIDs, s.Pid()) {
		t.Errorf("%+v; the daemon is %d", d, s.Pid())
	}

	s.Hang()
	answered := wait(t, s, dir)
	if d, took = judged(t, 0, dir); d.State != Waiting || d.Waiting != 1 || took > time.Minute {
		t.Errorf("without patience: %+v after %v", d, took)
	}
	const patience = 1500 * time.Millisecond
	// An old device of another process may have the same number, or, before Linux 6.18, none.
	for deadline := time.Now().Add(fusetest.Patience); d.State != Hung && time.Now().Before(deadline); {
		d, took = judged(t, patience, dir)
	}
	if d.State != Hung || d.Waiting != 1 || d.Stopped || took < patience {
		t.Errorf("%+v after %v", d, took)
	}
	s.Resume()
	if err := <-answered; !errors.Is(err, unix.ENOENT) {
		t.Error(err)
	}
	if d, _ = judged(t, time.Hour, dir); d.State != Alive {
		t.Errorf("it answers again: %+v", d)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if d, _ = judged(t, time.Hour, dir); d.State != Dead || d.Waiting != 0 || d.PIDs != nil {
		t.Errorf("%+v", d)
	}
}

// namesDevices says whether the kernel tells which connection a device has.
func namesDevices(s *fuseserver.Server) bool {
	d := findDevices()
	return len(d.of) > 0 || !slices.Contains(d.nameless, s.Pid())
}

// A stopped daemon is hung before patience is over, and is no longer when it goes on.
func TestJudgeStopped(t *testing.T) {
	fusetest.NeedRoot(t)
	s, dir, _ := served(t, fuseserver.Options{})
	<-s.Ready()
	if !namesDevices(s) {
		fusetest.Skip(t, "use Linux 6.18: this kernel does not tell whose device it is")
	}
	if err := unix.Kill(s.Pid(), unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		answered <- fusetest.AsUser(owner, owner, func() error {
			_, err := os.ReadFile(filepath.Join(dir, "absent"))
			return err
		})
	}()
	var d Daemon
	for deadline := time.Now().Add(fusetest.Patience); d.State != Hung && time.Now().Before(deadline); {
		d, _ = judged(t, fusetest.Patience, dir) // it may not have asked yet
	}
	if d.State != Hung || !d.Stopped {
		t.Errorf("%+v", d)
	}
	if err := unix.Kill(s.Pid(), unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; !errors.Is(err, unix.ENOENT) {
		t.Error(err)
	}
}

// A daemon that answers each request after a while, with one always waiting, is slow.
func TestJudgeSlow(t *testing.T) {
	fusetest.NeedRoot(t)
	s, dir, _ := served(t, fuseserver.Options{})
	<-s.Ready()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			s.Hang()
			answered := wait(t, s, dir)
			select {
			case <-time.After(300 * time.Millisecond): // so slow is the daemon
			case <-ctx.Done():
			}
			s.Resume()
			<-answered
		}
	}()
	for range 3 {
		if d, took := judged(t, 2*time.Second, dir); d.State == Hung || d.State == Dead || d.State == Unknown {
			t.Errorf("%+v after %v", d, took)
		}
	}
	cancel()
	<-ended
}

// A caller without a right to the control files sees the daemon's process at most.
func TestJudgeForeign(t *testing.T) {
	fusetest.NeedRoot(t)
	s, dir, _ := served(t, fuseserver.Options{})
	<-s.Ready()
	e, _, err := fusemounts.ByPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	err = fusetest.AsUser(stranger, stranger, func() error {
		daemons, err := Judge(t.Context(), Caller{UID: stranger}, Options{Patience: time.Hour, Ask: true}, e)
		if err == nil && (daemons[0].State != Unknown || daemons[0].Counted) {
			t.Errorf("%+v", daemons[0])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if asked := s.Asked(); len(asked) > 0 {
		t.Errorf("asked %v", asked)
	}
}

// The end of the context ends the wait, and what is known is returned.
func TestJudgeCanceled(t *testing.T) {
	fusetest.NeedRoot(t)
	s, dir, _ := served(t, fuseserver.Options{})
	<-s.Ready()
	s.Hang()
	answered := wait(t, s, dir)
	e, _, err := fusemounts.ByPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	daemons, err := Judge(ctx, Caller{Admin: true}, Options{Patience: time.Hour}, e)
	if !errors.Is(err, context.Canceled) || len(daemons) != 1 || daemons[0].State != Waiting {
		t.Errorf("%+v, %v", daemons, err)
	}
	s.Resume()
	<-answered
}
