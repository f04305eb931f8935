package mount

import (
	"slices"
	"strings"

	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/policy"
)

// record describes the mount with root fd as the tables of user space do, but for
// what only its plan tells.
func record(fd int, place *Place, e mtab.Entry) (mtab.Record, error) {
	id, err := mtab.OldID(fd)
	if err != nil {
		return mtab.Record{}, err
	}
	if e.Source == "" { // Linux 6.12: statmount tells neither source nor subtype
		if e, err = mtab.ByOldID(id); err != nil {
			return mtab.Record{}, err
		}
	}
	target := e.Mountpoint
	if target == "" {
		target = place.path
	}
	return mtab.Record{ID: id, Source: e.Source, Target: target, Type: e.Type, Options: e.SuperOptions}, nil
}

// Record is what the tables of user space keep of a new mount. The kernel has the
// options of the file system, and of them mountinfo shows flags, too, which
// statmount does not.
func (m *Mounted) Record(plan policy.Plan) (mtab.Record, error) {
	r, err := record(m.fd, m.place, m.entry)
	if err != nil {
		return r, err
	}
	t, _ := plan.Params()
	flags := t.Words()
	rest := slices.DeleteFunc(strings.Split(r.Options, ","), func(o string) bool {
		return o == "rw" || slices.Contains(flags, o)
	})
	r.Options = strings.Join(slices.Concat(flags, rest), ",")
	r.Userspace = plan.Userspace()
	return r, nil
}
