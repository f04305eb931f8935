// Package look finds out what --list and --check tell. It looks as the caller,
// with whatever rights the process has left, and changes nothing.
//
// It asks no daemon of a FUSE mount, so that none can make it wait: nothing below
// a FUSE mount is looked up, and of its root nothing is asked but the mount's id.
// Other file systems that hang, such as NFS, can make Find wait.
package look

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusectl"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/people"
)

// Mounts gives the FUSE mounts of this namespace, sorted, and whether there is
// fusectl to know their states from.
func Mounts() (mounts []people.Mount, hasFusectl bool, err error) {
	table, err := mtab.Fuse()
	if err != nil {
		return nil, false, err
	}
	if len(table) > 0 {
		names := userNames()
		for _, e := range table {
			mounts = append(mounts, mount(e, names))
		}
	}
	people.Sort(mounts)
	ctl, err := fusectl.Open()
	if err != nil {
		return mounts, false, nil
	}
	states(ctl, mounts)
	return mounts, true, ctl.Close()
}

func mount(e mtab.Listed, names map[uint32]string) people.Mount {
	owner, has := e.Owner()
	return people.Mount{
		Mountpoint: e.Mountpoint,
		Source:     e.Source,
		Type:       e.Type,
		Owner:      owner,
		HasOwner:   has,
		OwnerName:  names[owner],
		Options:    e.Options,
		FSOptions:  e.SuperOptions,
		ID:         e.ID,
		Connection: fusectl.Number(e.Major, e.Minor),
		State:      people.Unknown,
	}
}

// How often and how long apart, in nanoseconds, a daemon is looked at that has
// requests to answer, until it is called hung.
const (
	looks = 10
	pause = 20_000_000
)

// states fills in what fusectl knows. A daemon may be at work on requests at any
// moment; it hangs if it is never seen without one.
func states(ctl fusectl.Dir, mounts []people.Mount) {
	var busy []*people.Mount
	for i := range mounts {
		if m := &mounts[i]; state(ctl, m) == people.Hung {
			busy = append(busy, m)
		}
	}
	for n := 1; n < looks && len(busy) > 0; n++ {
		// A signal shortens the pause, and nothing else.
		_ = unix.Nanosleep(&unix.Timespec{Nsec: pause}, nil)
		busy = slices.DeleteFunc(busy, func(m *people.Mount) bool { return state(ctl, m) != people.Hung })
	}
}

// state looks at a connection once.
func state(ctl fusectl.Dir, m *people.Mount) people.State {
	s, err := ctl.Status(m.Connection)
	m.Waiting = s.Waiting
	switch {
	case err != nil: // another user's, or unmounted in this moment
		m.State, m.Waiting = people.Unknown, 0
	case s.Ended:
		m.State = people.Dead
	case s.Waiting > 0:
		m.State = people.Hung
	default:
		m.State = people.Alive
	}
	return m.State
}

// Hung says whether requests wait for the daemon of a mount. The answer is no
// where that is not known.
func Hung(e mtab.Entry) bool {
	ctl, err := fusectl.Open()
	if err != nil {
		return false
	}
	defer ctl.Close()
	mounts := []people.Mount{{Connection: fusectl.Number(e.Major, e.Minor)}}
	states(ctl, mounts)
	return mounts[0].State == people.Hung
}
