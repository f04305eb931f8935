package fusermount_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// infoOf gives what List says of a mountpoint to a user.
func infoOf(t *testing.T, uid uint32, dir string) (info fusermount.Info) {
	t.Helper()
	found := 0
	err := as(uid, func() error {
		list, err := fusermount.List()
		for _, i := range list {
			if i.Mountpoint == dir {
				info = i
				found++
			}
		}
		return err
	})
	if err != nil || found != 1 {
		t.Fatalf("%v; %d entries for %s", err, found, dir)
	}
	return info
}

func TestList(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		m, dir := w.mount(t, func(o *fusermount.Options) { o.FSName = "host:/dir a,b"; o.Subtype = "sub"; o.ReadOnly = true })
		info := infoOf(t, w.uid, dir)
		if info.ID != m.ID() || info.Source != "host:/dir a,b" || info.Type != "fuse.sub" || info.Subtype != "sub" ||
			info.Owner != w.uid || info.Connection != m.Connection() || info.Daemon != fusermount.Alive ||
			!strings.Contains(info.Options, fmt.Sprintf("user_id=%d", w.uid)) {
			t.Errorf("%+v", info)
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
	s := serve(t, m, fusetest.Options{})
	info := infoOf(t, other, dir)
	if info.Owner != user || info.ID != m.ID() || info.Daemon == fusermount.Dead {
		t.Errorf("%+v", info)
	}
	if asked := s.Asked(); len(asked) > 0 {
		t.Errorf("asked %v", asked)
	}
	for state, text := range map[fusermount.DaemonState]string{fusermount.Unknown: "unknown", fusermount.Alive: "alive", fusermount.Dead: "dead"} {
		if state.String() != text {
			t.Errorf("%d is %q", state, state)
		}
	}
}
