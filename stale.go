package fusermount

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/connection"
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
		if m.was, err = lookUp(m.ctx, looksAt(m.given), func() (before, error) { return survey(m.given) }); err != nil {
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
	judged, err := connection.Judge(m.ctx, m.who.onConnections(), connection.Options{Ask: true}, e)
	if err != nil || m.ctx.Err() != nil {
		return false, whyEnded(m.ctx)
	}
	return judged[0].State == connection.Dead, nil
}

// orStale adds to a helper's refusal that a dead mount is in the way. libfuse's
// helper looks with other ids than the caller's, which FUSE does not let in, so it
// has no better word than that this is forbidden.
func (m *mounting) orStale(err error) error {
	refused := errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOTCONN)
	if m.helper == nil || !refused || errors.Is(err, ErrStale) || m.ctx.Err() != nil {
		return err
	}
	if stale, other := m.stale(); other != nil || !stale {
		return err
	}
	return because(err.Error()+": "+ErrStale.Error(), err, ErrStale, unix.ENOTCONN)
}
