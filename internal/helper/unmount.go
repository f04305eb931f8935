package helper

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mount"
	"github.com/go-fusermount/fusermount/internal/mountopts"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/policy"
	"github.com/go-fusermount/fusermount/internal/seccomp"
)

// unmount takes away what is mounted topmost at the mountpoint, if it is the
// caller's.
func (h *helper) unmount() error {
	if h.req.Quiet {
		h.report.mute()
	}
	if err := h.only(h.tasksOfUnmount()); err != nil {
		return err
	}
	target, err := h.target()
	if err != nil {
		return err
	}
	if err := h.unmountTarget(target, h.req.Lazy); err != nil {
		return err
	}
	h.logDone("unmounted")
	return nil
}

func (h *helper) tasksOfUnmount() seccomp.Task {
	return seccomp.Unmount | h.ifAny(mtab.SeesMtab, mtab.SeesUtab)
}

// target pins what is mounted topmost at the mountpoint.
func (h *helper) target() (*mount.Target, error) {
	place, err := mount.Resolve(h.req.Mountpoint)
	if err != nil {
		return nil, err
	}
	h.path = place.Path()
	target, err := place.Target()
	if err != nil {
		return nil, notListed(err, place.Path())
	}
	if _, isRoot := target.Entry(); isRoot {
		h.about = about(target.Names())
	}
	return target, nil
}

// notListed says of a mountpoint that is not there what is said of one that
// nobody mounted.
func notListed(err error, path string) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, mtab.ErrNotListed) {
		return &policy.Refusal{Reason: "entry for " + path + " not found in /etc/mtab", Hint: absentHint(err)}
	}
	return err
}

func absentHint(err error) string {
	if errors.Is(err, mtab.ErrNotListed) {
		return "it was unmounted meanwhile"
	}
	return "nothing is there (" + mount.Strerror(err) + "): is the name right?"
}

// judge decides about a pinned mount from the kernel's table.
func (h *helper) judge(target *mount.Target, lazy bool) (policy.UnmountPlan, error) {
	entry, isRoot := target.Entry()
	below, err := target.Below()
	if err != nil {
		return policy.UnmountPlan{}, err
	}
	facts := policy.UnmountFacts{
		Caller:     policy.Caller{UID: h.who.UID, GID: h.who.GID},
		Path:       target.Path(),
		Lazy:       lazy,
		Mountpoint: isRoot,
		Top:        judged(entry),
	}
	for _, e := range below {
		facts.Below = append(facts.Below, judged(e))
	}
	if facts.AsksInside() && mountopts.IsFuse(entry.Type) {
		inside, err := mtab.Descendants(entry)
		if err != nil {
			return policy.UnmountPlan{}, err
		}
		for _, e := range inside {
			facts.Inside = append(facts.Inside, judged(e))
		}
	}
	return policy.Unmount(facts)
}

// unmountTarget judges a pinned mount, takes it away, and out of the tables.
func (h *helper) unmountTarget(target *mount.Target, lazy bool) error {
	plan, err := h.judge(target, lazy)
	if err != nil {
		return err
	}
	r, recorded := h.recorded(target)
	if err := target.Unmount(plan); err != nil {
		return err
	}
	if !recorded {
		return nil
	}
	h.forget(r)
	return nil
}

func judged(e mtab.Entry) policy.Mounted {
	owner, has := e.Owner()
	return policy.Mounted{ID: e.ID, Type: e.Type, Owner: owner, HasOwner: has}
}
