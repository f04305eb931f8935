package helper

import (
	"errors"
	"strings"

	"github.com/go-fusermount/fusermount/internal/mount"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/policy"
	"github.com/go-fusermount/fusermount/internal/priv"
)

// record writes the mount into the tables of user space, if there are any. A
// failure is a warning: the mount is there.
func (h *helper) record(plan policy.Plan, mounted *mount.Mounted) (recorded bool) {
	if !h.mayWriteTables() || len(plan.Userspace()) == 0 && !mtab.HasMtab() {
		return false
	}
	r, err := mounted.Record(plan)
	if err == nil {
		err = mount.RecordMount(r)
	}
	if err != nil {
		h.report.warn("warning: " + h.notWritten(err, len(plan.Userspace()) > 0 && mtab.HasUtab()))
	}
	return err == nil
}

// recorded finds the mount's line in the tables, while the mount can still be
// asked for its ids. No trouble with a table keeps a mount from being unmounted.
func (h *helper) recorded(target *mount.Target) (r mtab.Record, found bool) {
	if !h.mayWriteTables() {
		return mtab.Record{}, false
	}
	r, err := target.Record()
	if err != nil {
		h.report.warn("warning: the mount stays in the tables: " + err.Error())
		return mtab.Record{}, false
	}
	return r, mtab.HasMtab() || mtab.InUtab(r)
}

// forget takes the line of a mount that is gone out of the tables.
func (h *helper) forget(r mtab.Record) {
	if err := mount.ForgetMount(r); err != nil {
		h.report.warn("warning: " + h.notWritten(err, mtab.InUtab(r)))
	}
}

// notWritten says why tables stay as they are. The error alone does not, where it
// was the right to act as the files' owner that was missing. utab says whether
// libmount's table was to be written.
func (h *helper) notWritten(err error, utab bool) string {
	if !errors.Is(err, priv.ErrMissing) {
		return err.Error()
	}
	var tables []string
	if utab {
		tables = append(tables, mtab.UtabPath)
	}
	if mtab.HasMtab() {
		tables = append(tables, mtab.MtabPath)
	}
	why := "the program has the file capability alone, and not the setuid bit"
	if h.who.Origin.EUID == 0 {
		why = "CAP_SETUID and CAP_SETGID are not there"
	}
	return strings.Join(tables, " and ") + " not written: " + why
}
