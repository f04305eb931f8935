package helper

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mount"
	"github.com/go-fusermount/fusermount/internal/mountopts"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/policy"
	"github.com/go-fusermount/fusermount/internal/priv"
	"github.com/go-fusermount/fusermount/internal/seccomp"
)

// unmount unmounts what is mounted topmost at the mountpoint, if it is the caller's.
func (h *helper) unmount() error {
	if h.req.Quiet {
		h.report.mute()
	}
	if err := h.restrictTo(seccomp.Unmount | h.tablesTask(mtab.MtabPath, mtab.UtabPath)); err != nil {
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

// target pins what is mounted topmost at the mountpoint. A mountpoint that does not exist
// gets the message of one where nothing is mounted.
func (h *helper) target() (*mount.Target, error) {
	place, err := mount.Resolve(h.req.Mountpoint)
	if err != nil {
		return nil, err
	}
	h.path = place.Path()
	target, err := place.Target()
	if err != nil {
		hint := "nothing is there (" + mount.Strerror(err) + "): is the name right?"
		switch {
		case errors.Is(err, mtab.ErrNotListed):
			hint = "it was unmounted meanwhile"
		case !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR):
			return nil, err
		}
		return nil, &policy.Refusal{Reason: "entry for " + place.Path() + " not found in /etc/mtab", Hint: hint}
	}
	if _, isRoot := target.Entry(); isRoot {
		h.about = about(target.Names())
	}
	return target, nil
}

// judgeUnmount decides about a pinned mount from the kernel's table.
func (h *helper) judgeUnmount(target *mount.Target, lazy bool) (policy.UnmountPlan, error) {
	entry, isRoot := target.Entry()
	facts := policy.UnmountFacts{
		Caller:     policy.Caller{UID: h.who.UID, GID: h.who.GID},
		Path:       target.Path(),
		Lazy:       lazy,
		Mountpoint: isRoot,
		Top:        judged(entry),
	}
	below, err := target.Underlying()
	if err != nil {
		return policy.UnmountPlan{}, err
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

func judged(e mtab.Entry) policy.Mounted {
	owner, has := e.Owner()
	return policy.Mounted{ID: e.ID, Type: e.Type, Owner: owner, HasOwner: has}
}

// unmountTarget judges a pinned mount, unmounts it, and removes it from the tables.
func (h *helper) unmountTarget(target *mount.Target, lazy bool) error {
	plan, err := h.judgeUnmount(target, lazy)
	if err != nil {
		return err
	}
	r, recorded := h.recorded(target)
	if err := target.Unmount(plan); err != nil {
		return err
	}
	if recorded {
		if err := mount.ForgetMount(r); err != nil {
			h.report.warn("warning: " + h.notWritten(err, mtab.InUtab(r)))
		}
	}
	return nil
}

// recorded finds the mount in the tables, while the kernel still knows its ids. Trouble
// with a table does not keep a mount from being unmounted.
func (h *helper) recorded(target *mount.Target) (r mtab.Record, found bool) {
	if !h.mayWriteTables() {
		return mtab.Record{}, false
	}
	r, err := target.Record()
	if err != nil {
		h.report.warn("warning: the mount stays in the tables: " + err.Error())
		return mtab.Record{}, false
	}
	return r, mtab.MayExist(mtab.MtabPath) || mtab.InUtab(r)
}

// notWritten says why tables were not written. The error alone does not tell which
// capability was missing. utab says whether libmount's table was to be written.
func (h *helper) notWritten(err error, utab bool) string {
	if !errors.Is(err, priv.ErrMissing) {
		return err.Error()
	}
	var tables []string
	if utab {
		tables = append(tables, mtab.UtabPath)
	}
	if mtab.MayExist(mtab.MtabPath) {
		tables = append(tables, mtab.MtabPath)
	}
	why := "the program has the file capability alone, and not the setuid bit"
	if h.who.Origin.EUID == 0 {
		why = "CAP_SETUID and CAP_SETGID are not there"
	}
	return strings.Join(tables, " and ") + " not written: " + why
}
