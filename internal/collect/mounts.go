// Package collect finds out what --list and --check tell. It looks as the caller,
// with whatever rights the process has left, and changes nothing.
//
// It asks no daemon of a FUSE mount, so that none can make it wait: nothing below
// a FUSE mount is looked up, and of its root nothing is asked but the mount's id.
// Other file systems that hang, such as NFS, can make Find wait.
package collect

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/connection"
	"github.com/go-fusermount/fusermount/internal/diagnose"
	"github.com/go-fusermount/fusermount/internal/mtab"
)

// Mounts gives the FUSE mounts of this namespace, sorted, and whether there is
// fusectl to know their states from.
func Mounts() (mounts []diagnose.Mount, hasFusectl bool, err error) {
	table, err := mtab.Fuse()
	if err != nil {
		return nil, false, err
	}
	if len(table) > 0 {
		names := userNames()
		for _, e := range table {
			mounts = append(mounts, facts(e, names))
		}
	}
	diagnose.Sort(mounts)
	ctl, err := connection.Open()
	if err != nil {
		return mounts, false, nil
	}
	states(ctl, mounts)
	return mounts, true, ctl.Close()
}

func facts(e mtab.Listed, names map[uint32]string) diagnose.Mount {
	owner, has := e.Owner()
	return diagnose.Mount{
		Mountpoint: e.Mountpoint,
		Source:     e.Source,
		Type:       e.Type,
		Owner:      owner,
		HasOwner:   has,
		OwnerName:  names[owner],
		Options:    e.Options,
		FSOptions:  e.SuperOptions,
		ID:         e.ID,
		Connection: e.Connection(),
		State:      diagnose.Unknown,
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
func states(ctl connection.Dir, mounts []diagnose.Mount) {
	var busy []*diagnose.Mount
	for i := range mounts {
		if m := &mounts[i]; state(ctl, m) == diagnose.Hung {
			busy = append(busy, m)
		}
	}
	for n := 1; n < looks && len(busy) > 0; n++ {
		// A signal shortens the pause, and nothing else.
		_ = unix.Nanosleep(&unix.Timespec{Nsec: pause}, nil)
		busy = slices.DeleteFunc(busy, func(m *diagnose.Mount) bool { return state(ctl, m) != diagnose.Hung })
	}
}

// state looks at a connection once.
func state(ctl connection.Dir, m *diagnose.Mount) diagnose.State {
	s, err := ctl.Status(m.Connection)
	m.Waiting = s.Waiting
	switch {
	case err != nil: // another user's, or unmounted in this moment
		m.State, m.Waiting = diagnose.Unknown, 0
	case s.Ended:
		m.State = diagnose.Dead
	case s.Waiting > 0:
		m.State = diagnose.Hung
	default:
		m.State = diagnose.Alive
	}
	return m.State
}

// Hung says whether requests wait for the daemon of a mount. The answer is no
// where that is not known.
func Hung(e mtab.Entry) bool {
	ctl, err := connection.Open()
	if err != nil {
		return false
	}
	defer ctl.Close()
	mounts := []diagnose.Mount{{Connection: e.Connection()}}
	states(ctl, mounts)
	return mounts[0].State == diagnose.Hung
}
