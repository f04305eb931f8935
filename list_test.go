//go:build linux

package fusermount_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// infoOf gives what a user is told of the mount at a mountpoint.
func infoOf(t *testing.T, uid uint32, dir string) (info fusermount.MountInfo, daemon fusermount.Daemon) {
	t.Helper()
	found := 0
	err := as(uid, func() error {
		list, err := fusermount.List()
		if err != nil {
			return err
		}
		daemons, err := fusermount.Daemons(within(t), list...)
		for i, m := range list {
			if m.Mountpoint == dir {
				info, daemon = m, daemons[i]
				found++
			}
		}
		return err
	})
	if err != nil || found != 1 {
		t.Fatalf("%v; %d entries for %s", err, found, dir)
	}
	return info, daemon
}

func TestList(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		fusectl(t, w.uid != 0)
		m, dir := w.mount(t, func(o *fusermount.Options) { o.FSName = "host:/dir a,b"; o.Subtype = "sub"; o.ReadOnly = true })
		serve(t, m, fuseserver.Options{})
		info, daemon := infoOf(t, w.uid, dir)
		if info.ID != m.ID() || info.Source != "host:/dir a,b" || info.Type != "fuse.sub" || info.Subtype != "sub" ||
			info.Owner != w.uid || info.Connection != m.Info().Connection || daemon.State != fusermount.DaemonAlive ||
			!strings.HasPrefix(info.MountFlags, "ro,nosuid,nodev") || !strings.Contains(info.Options, fmt.Sprintf("user_id=%d", w.uid)) {
			t.Errorf("%+v, %+v", info, daemon)
		}
		if err := w.unmount(t, m); err != nil {
			t.Error(err)
		}
		list, err := fusermount.List()
		if err != nil {
			t.Error(err)
		}
		for _, i := range list {
			if i.Mountpoint == dir {
				t.Errorf("unmounted: %+v", i)
			}
		}
	})
}

// A stranger learns of a mount no more than what is evident.
func TestListForeign(t *testing.T) {
	fusetest.NeedRoot(t)
	w := way{uid: user, o: fusermount.Options{Helper: ours(t)}}
	m, dir := w.mount(t, nil)
	s := serve(t, m, fuseserver.Options{})
	info, daemon := infoOf(t, other, dir)
	if info.Owner != user || info.ID != m.ID() || daemon.State == fusermount.DaemonDead {
		t.Errorf("%+v, %+v", info, daemon)
	}
	if asked := s.Asked(); len(asked) > 0 {
		t.Errorf("asked %v", asked)
	}
	for state, text := range map[fusermount.DaemonState]string{
		fusermount.DaemonUnknown: "unknown", fusermount.DaemonAlive: "alive", fusermount.DaemonWaiting: "waiting",
		fusermount.DaemonHung: "hung", fusermount.DaemonDead: "dead",
	} {
		if state.String() != text {
			t.Errorf("%d is %q", state, state)
		}
	}
}

func init() { jobs["lists"] = printStates }

// printStates asks for the state of a mountpoint's daemon a few times, writes it to
// descriptor 3, and ends.
func printStates(args []string) error {
	told := os.NewFile(3, "told")
	for range 3 {
		list, err := fusermount.List()
		if err != nil {
			return err
		}
		daemons, err := fusermount.Daemons(ctxOfJob(), list...)
		if err != nil {
			return err
		}
		for i, d := range daemons {
			if list[i].Mountpoint == args[0] {
				if _, err := fmt.Fprintln(told, d.State); err != nil {
					return err
				}
			}
		}
	}
	return told.Close()
}

// A daemon that hangs is not asked: not by a stranger whom the mount lets in, nor by
// its owner, who does not see the daemon's process.
func TestListHung(t *testing.T) {
	fusetest.NeedRoot(t)
	fusectl(t, false)
	for _, c := range []struct {
		name        string
		owner, asks uint32
	}{{"a stranger", 0, other}, {"the owner", user, user}} {
		t.Run(c.name, func(t *testing.T) {
			dir := fusetest.Dir(t, c.owner)
			s, err := fuseserver.Mount(dir, hello, fuseserver.MountOptions{UID: c.owner, GID: c.owner, Data: "allow_other"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			ready(t, s)
			s.Hang()
			defer s.Resume()
			before := len(s.Asked())
			if told := toldBy(t, jobCall(t, c.asks, "lists", dir)); told != strings.Repeat("unknown\n", 3) {
				t.Errorf("told %q", told)
			}
			if asked := s.Asked()[before:]; len(asked) != 0 {
				t.Errorf("asked %v", asked)
			}
		})
	}
}

// toldBy starts a process and gives what it tells on descriptor 3, whose end does
// not wait for the process's own.
func toldBy(t *testing.T, call helpertest.Call) string {
	t.Helper()
	told, tell, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer told.Close()
	call.Comm = tell
	p, err := call.Start(within(t))
	if err := errors.Join(err, tell.Close()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Wait() })
	if err := told.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(told)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}
