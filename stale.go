package fusermount

import (
	"errors"

	"github.com/go-fusermount/fusermount/internal/mountopts"
)

// maxStale bounds how many layers of dead mounts are taken away.
const maxStale = 100

// replaceStale takes away the caller's own dead FUSE mounts at the mountpoint.
func (m *mounting) replaceStale() error {
	for range maxStale {
		if stale, err := m.stale(); err != nil || !stale {
			return err
		}
		e := m.was.below
		u := &unmounting{entry: e, who: m.who, options: m.unmountOptions(Lazy)}
		if err := u.run(m.ctx); err != nil && !errors.Is(err, ErrNotMounted) {
			m.helper = u.helper
			return because("the stale mount there could not be taken away: "+err.Error(), err)
		}
		var err error
		if m.was, err = lookUp(m.ctx, m.given, func() (before, error) { return survey(m.given) }); err != nil {
			return err
		}
	}
	return nil
}

// stale says whether what lies at the mountpoint is a dead mount of the caller's.
func (m *mounting) stale() (bool, error) {
	e := m.was.below
	owner, known := e.Owner()
	if !m.was.root || !mountopts.IsFuse(e.Type) || !known || owner != m.who.uid {
		return false, nil
	}
	state, err := await(m.ctx, func() (DaemonState, error) {
		d := newDaemons(m.who)
		defer d.close()
		return d.state(e), nil
	}, func(DaemonState, error) {})
	return state == Dead, err
}
