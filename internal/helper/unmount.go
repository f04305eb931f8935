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

// runUnmount unmounts what is mounted topmost at the mountpoint, if it is the caller's.
func runUnmount(r *run) error {
	if r.req.Quiet {
		r.report.muted = true
	}
	if err := r.restrictTo(seccomp.Unmount | r.tablesTask(mtab.MtabPath, mtab.UtabPath)); err != nil {
		return err
	}
	target, err := pinTarget(r)
	if err != nil {
		return err
	}
	if err := unmountTarget(r, target, r.req.Lazy); err != nil {
		return err
	}
	r.logDone("unmounted")
	return nil
}

// pinTarget pins what is mounted topmost at the mountpoint. A mountpoint that does not exist
// gets the message of one where nothing is mounted.
func pinTarget(r *run) (*mount.Target, error) {
	place, err := mount.Resolve(r.req.Mountpoint)
	if err != nil {
		return nil, err
	}
	r.path = place.Path
	target, err := place.Target()
	if err != nil {
		hint := "nothing is there (" + mount.Strerror(err) + "): is the name right?"
		switch {
		case errors.Is(err, mtab.ErrNotListed):
			hint = "it was unmounted meanwhile"
		case !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR):
			return nil, err
		}
		return nil, &policy.Refusal{Reason: "entry for " + place.Path + " not found in /etc/mtab", Advice: hint}
	}
	if _, isRoot := target.Entry(); isRoot {
		r.about = about(target.Names())
	}
	return target, nil
}

// judgeUnmount decides about a pinned mount from the kernel's table.
func judgeUnmount(r *run, target *mount.Target, lazy bool) (policy.UnmountPlan, error) {
	entry, isRoot := target.Entry()
	facts := policy.UnmountFacts{
		Caller:     policy.Caller{UID: r.who.UID, GID: r.who.GID},
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
func unmountTarget(r *run, target *mount.Target, lazy bool) error {
	plan, err := judgeUnmount(r, target, lazy)
	if err != nil {
		return err
	}
	rec, recorded := findRecord(r, target)
	if err := target.Unmount(plan); err != nil {
		return err
	}
	if recorded {
		if err := mount.ForgetMount(rec); err != nil {
			r.report.warn("warning: " + notWritten(r, err, mtab.InUtab(rec)))
		}
	}
	return nil
}

// findRecord finds the mount in the tables, while the kernel still knows its ids. Trouble
// with a table does not keep a mount from being unmounted.
func findRecord(r *run, target *mount.Target) (rec mtab.Record, found bool) {
	if !r.mayWriteTables() {
		return mtab.Record{}, false
	}
	rec, err := target.Record()
	if err != nil {
		r.report.warn("warning: the mount stays in the tables: " + err.Error())
		return mtab.Record{}, false
	}
	return rec, mtab.MayExist(mtab.MtabPath) || mtab.InUtab(rec)
}

// notWritten says why tables were not written. The error alone does not tell which
// capability was missing. utab says whether libmount's table was to be written.
func notWritten(r *run, err error, utab bool) string {
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
	if r.who.Origin.EUID == 0 {
		why = "CAP_SETUID and CAP_SETGID are not there"
	}
	return strings.Join(tables, " and ") + " not written: " + why
}
