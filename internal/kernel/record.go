package kernel

import (
	"github.com/go-fusermount/fusermount/internal/mtab"
)

// record describes the mount with root fd as the tables of user space do.
func record(fd int, place *Place, e mtab.Entry, userspace []string) (mtab.Record, error) {
	id, err := mtab.OldID(fd)
	if err != nil {
		return mtab.Record{}, err
	}
	if e.Source == "" { // Linux 6.12: statmount tells neither source nor subtype
		if e, err = mtab.Find(id); err != nil {
			return mtab.Record{}, err
		}
	}
	target := e.Mountpoint
	if target == "" {
		target = place.path
	}
	options := "rw"
	for _, o := range []struct {
		on   bool
		name string
	}{{e.NoSuid, "nosuid"}, {e.NoDev, "nodev"}} {
		if o.on {
			options += "," + o.name
		}
	}
	return mtab.Record{
		ID:        id,
		Source:    e.Source,
		Target:    target,
		Type:      e.Type,
		Options:   options + "," + e.SuperOptions,
		Userspace: userspace,
	}, nil
}
