package fusermount

import (
	"context"
	"errors"

	"github.com/go-fusermount/fusermount/internal/mountopts"
	"github.com/go-fusermount/fusermount/internal/mtab"
)

// elsewhere has a helper unmount what lies in another mount namespace. What lies
// in this one at the same path is another's.
func (u *unmounting) elsewhere(ctx context.Context) error {
	path := u.entry.Mountpoint
	here, err := lookUp(ctx, path, func() (bool, error) {
		e, isRoot, err := mtab.ByPath(path)
		return err == nil && isRoot && mountopts.IsFuse(e.Type), nil
	})
	if err != nil {
		return err
	}
	if here {
		return because("it lies in another mount namespace, and another mount here", ErrNotMounted)
	}
	return u.byHelper(ctx)
}

// byHelper has a helper unmount. What it is to unmount is looked at right before
// it starts; a mount that is in no table of ours it knows better than we do.
func (u *unmounting) byHelper(ctx context.Context) error {
	program, err := findHelper(ctx, u.options.helper)
	if err != nil {
		return err
	}
	release, err := turns.take(ctx, u.entry)
	if err != nil {
		return err
	}
	defer release()
	path := u.entry.Mountpoint
	switch {
	case u.entry.ID != 0:
		path, err = lookUp(ctx, path, u.check)
	case u.left.Load():
		err = ErrNotMounted
	}
	if err != nil {
		return err
	}
	args := []string{"-u", "--", path}
	if u.options.policy == Lazy {
		args = []string{"-u", "-z", "--", path}
	}
	p, err := startProcess(ctx, program, args, u.options.stderr)
	if err != nil {
		return err
	}
	u.helper = p
	err = p.wait()
	p.end(nil)
	if err != nil {
		return err
	}
	switch {
	case p.lost && u.entry.ID == 0 && len(p.said.messages()) == 0: // there is nothing else to go by
	case p.exitStatus() != 0:
		return u.unlessGone(p.failure())
	case u.entry.ID != 0:
		return u.confirm()
	}
	u.left.Store(true)
	return nil
}

// unlessGone is what a helper's failure comes to: a wrapper may end badly after a
// helper that has done its work. Where it found nothing, somebody else was faster.
func (u *unmounting) unlessGone(failure error) error {
	if u.entry.ID == 0 || errors.Is(failure, ErrNotMounted) {
		return failure
	}
	if isGone(u.entry) {
		return nil
	}
	return failure
}
