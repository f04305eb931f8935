package fusermount

import (
	"errors"

	"github.com/go-fusermount/fusermount/internal/mountopts"
	"github.com/go-fusermount/fusermount/internal/mtab"
)

// maxStale bounds how many layers of dead mounts are taken away.
const maxStale = 100

// replaceStale takes away the caller's own dead FUSE mounts at the mountpoint.
func (m *mounting) replaceStale() error {
	for range maxStale {
		e, stale, err := m.stale()
		if err != nil || !stale {
			return err
		}
		u := &unmounting{entry: e, who: m.who, options: m.unmountOptions(Lazy)}
		if err := u.run(m.ctx); err != nil && !errors.Is(err, ErrNotMounted) {
			m.helper = u.helper
			return because("the stale mount there could not be taken away: "+err.Error(), err)
		}
	}
	return nil
}

// stale gives the topmost mount at the mountpoint, and whether it is a dead one
// of the caller's.
func (m *mounting) stale() (e mtab.Entry, stale bool, err error) {
	e, err = await(m.ctx, func() (mtab.Entry, error) {
		e, isRoot, err := mtab.At(m.path)
		if err != nil || !isRoot || !mountopts.IsFuse(e.Type) {
			return mtab.Entry{}, nil // whoever mounts will say what is wrong
		}
		return e, nil
	}, func(mtab.Entry, error) {})
	if owner, known := e.Owner(); err != nil || !known || owner != m.who.uid {
		return e, false, err
	}
	state, err := await(m.ctx, func() (DaemonState, error) {
		d := newDaemons(m.who)
		defer d.close()
		return d.state(e), nil
	}, func(DaemonState, error) {})
	return e, state == Dead, err
}
