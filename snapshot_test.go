//go:build linux

package fusermount_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

func init() {
	jobs["state"] = printState
	jobs["replace"] = replaceStale
}

// printState prints the state of a mountpoint's daemon.
func printState(args []string) error {
	list, err := fusermount.List()
	if err != nil {
		return err
	}
	// Longer would show that a daemon hangs, which package connection tests.
	ctx, cancel := context.WithTimeout(ctxOfJob(), 100*time.Millisecond)
	defer cancel()
	daemons, err := fusermount.Daemons(ctx, list...)
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	for i, d := range daemons {
		if list[i].Mountpoint == args[0] {
			fmt.Print(d.State)
		}
	}
	return err
}

// replaceStale mounts and unmounts: DIRECTORY HELPER.
func replaceStale(args []string) error {
	o := &fusermount.Options{Helper: args[1], ReplaceStale: true}
	if args[1] != "" {
		o.Method = fusermount.MethodHelper
	}
	m, err := fusermount.Mount(ctxOfJob(), args[0], o)
	if err != nil {
		return err
	}
	return m.Close()
}

// state gives what a process of a user's own is told.
func state(t *testing.T, uid uint32, dir string, deny []helpertest.Denied) string {
	t.Helper()
	call := jobCall(t, uid, "state", dir)
	call.Deny = deny
	return doJob(t, call)
}

// Whether a daemon lives is found out without asking one that hangs: from the
// kernel's control files, where they are mounted or may be, and else from who
// holds devices.
func TestDaemonState(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		if w.o.Helper == "" {
			w.o.Helper = ours(t)
		}
		fusectl(t, false)
		wantStates(t, w, nil, false)
		if w.uid != 0 { // root would see what others on this machine hold
			wantStates(t, w, helpertest.Deny(unix.EPERM, "fsopen"), false)
		}
		if fusetest.Have() == fusetest.Root {
			fusectl(t, true)
			wantStates(t, w, nil, true)
		}
	})
}

// wantStates wants the states of a daemon that never answers INIT, and then is killed.
// The kernel tells that INIT waits where there is fusectl, and to the real root.
func wantStates(t *testing.T, w way, deny []helpertest.Denied, fusectl bool) {
	t.Helper()
	dir := fusetest.Dir(t, w.uid)
	p := startHold(t, w, dir, "") // never answers INIT
	askers := []uint32{w.uid}
	if deny == nil {
		askers = append(askers, 0)
	}
	for _, uid := range askers {
		want := "alive"
		if fusectl || uid == 0 && deny == nil && fusetest.Have() == fusetest.Root {
			want = "waiting"
		}
		if got := state(t, uid, dir, deny); got != want {
			t.Errorf("held, asked by %d: %s, want %s", uid, got, want)
		}
	}
	if err := p.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.Wait()
	for _, uid := range askers {
		want := "unknown" // nothing but the mount itself would tell
		if fusectl || uid == 0 && deny == nil && fusetest.Have() == fusetest.Root {
			want = "dead"
		}
		if got := state(t, uid, dir, deny); got != want {
			t.Errorf("killed, asked by %d: %s, want %s", uid, got, want)
		}
	}
	if fusetest.Have() == fusetest.Root {
		if got := state(t, other, dir, nil); got != "unknown" {
			t.Errorf("killed, asked by a stranger: %s", got)
		}
	}
	// What is left is taken away on demand.
	doJob(t, jobCall(t, w.uid, "replace", dir, w.o.Helper))
	wantNothing(t, dir)
}

// Without ReplaceStale a direct mount says what is there.
func TestStale(t *testing.T) {
	fusetest.NeedDevice(t)
	dir := fusetest.Dir(t, 0)
	m := mountAs(t, 0, dir, nil)
	device, err := m.TakeFile()
	if err == nil {
		err = device.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = fusermount.Mount(within(t), dir, nil)
	if e := wantError(t, err, fusermount.ErrStale, unix.ENOTCONN); e.Helper != "" {
		t.Errorf("%+v", e)
	}
	next := mountAs(t, 0, dir, &fusermount.Options{ReplaceStale: true})
	if lines := fusetest.MountsAt(t, dir); len(lines) != 1 || next.ID() == m.ID() {
		t.Errorf("%+v", lines)
	}
}

// A mount whose daemon lives stays, even if the daemon hangs; then a mount on top
// waits as long as its context allows, and nothing comes of it later.
func TestReplaceStaleAlive(t *testing.T) {
	fusetest.NeedDevice(t)
	dir := fusetest.Dir(t, 0)
	m := mountAs(t, 0, dir, nil)
	s := serve(t, m, fuseserver.Options{})
	over := mountAs(t, 0, dir, &fusermount.Options{ReplaceStale: true})
	if lines := fusetest.MountsAt(t, dir); len(lines) != 2 {
		t.Errorf("%+v", lines)
	}
	if err := over.Close(); err != nil {
		t.Fatal(err)
	}
	check := wantNoLeak(t)
	s.Hang()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := fusermount.Mount(ctx, dir, &fusermount.Options{ReplaceStale: true})
	wantError(t, err, context.DeadlineExceeded)
	s.Resume()
	check()
	if lines := fusetest.MountsAt(t, dir); len(lines) != 1 {
		t.Errorf("%+v", lines)
	}
}

// What will be refused takes nothing away.
func TestReplaceStaleRefused(t *testing.T) {
	withHelpers(t, func(t *testing.T, helper string) {
		fusetest.NeedRoot(t)
		dir := dead(t, helper, fusetest.Dir(t, user))
		err := as(user, func() error {
			_, err := fusermount.Mount(within(t), dir, &fusermount.Options{Helper: helper, ReplaceStale: true, AllowOther: true})
			return err
		})
		wantError(t, err, fusermount.ErrAllowOther)
		mounted(t, dir)
	})
}

// Another user's dead mount stays.
func TestReplaceStaleForeign(t *testing.T) {
	helper := ours(t)
	fusetest.NeedRoot(t)
	dir := dead(t, helper, fusetest.Dir(t, user))
	err := as(other, func() error {
		_, err := fusermount.Mount(within(t), dir, &fusermount.Options{Helper: helper, ReplaceStale: true})
		return err
	})
	wantError(t, err)
	mounted(t, dir)
}
