package fusermount

import (
	"github.com/go-fusermount/fusermount/internal/fusedev"
	"github.com/go-fusermount/fusermount/internal/mountopts"
	"github.com/go-fusermount/fusermount/internal/mtab"
)

// Nothing in this file asks the daemon of the file system that lies at a
// place: descriptors are opened with O_PATH, and the kernel answers from its own
// tables. Only a daemon that serves a directory further up can make it wait.

// before is a mountpoint before anything is mounted there. Should a helper have
// to be given up, it tells a mount of its making from any other.
type before struct {
	path  string // resolved
	known bool
	below mtab.Entry
	root  bool // of below
	// calm: nothing that is done here asks a daemon.
	calm bool
}

func survey(path string) (b before, err error) {
	if b.path, err = resolved(path); err != nil {
		return b, err
	}
	e, isRoot, err := mtab.ByPath(b.path)
	b.below, b.root, b.known = e, isRoot, err == nil
	b.calm = b.known && !mountopts.IsFuse(e.Type) && calm(b.path) // it may be another path by now
	return b, nil
}

// new gives the mount that has appeared since, directly on top of what was
// there, and as it was asked for.
func (b before) new(r *request, uid uint32) (mtab.Entry, bool) {
	e, isRoot, err := mtab.ByPath(b.path)
	if err != nil || !isRoot || !b.known || !mountopts.IsFuse(e.Type) {
		return mtab.Entry{}, false
	}
	owner, _ := e.Owner()
	same := e.Unique == b.below.Unique && e.Parent == b.below.ID && owner == uid &&
		(e.Source == "" || e.Source == r.source())
	return e, same
}

// servedBy finds the mount that a device serves. Without the kernel's word on
// that, a mount that is new at the mountpoint is taken for it.
func servedBy(device int, r *request, b before, uid uint32) (mtab.Entry, bool) {
	number, known := fusedev.Connection(device)
	if !known {
		return b.new(r, uid)
	}
	e, isRoot, err := mtab.ByPath(b.path)
	if err == nil && isRoot && mountopts.IsFuse(e.Type) && e.Connection() == number {
		return e, fusedev.IsMounted(device)
	}
	if e, found := byConnection(device); found {
		return e, true
	}
	return b.new(r, uid)
}

// byConnection looks for a device's mount in the whole table. Of several, which
// are bind mounts, the oldest is the one that was mounted. That the device is
// mounted afterwards shows that the number was its own all the time.
func byConnection(device int) (mtab.Entry, bool) {
	number, known := fusedev.Connection(device)
	if !known {
		return mtab.Entry{}, false
	}
	all, err := mtab.FuseMounts()
	if err != nil {
		return mtab.Entry{}, false
	}
	for _, e := range all {
		if e.Connection() == number {
			return e, fusedev.IsMounted(device)
		}
	}
	return mtab.Entry{}, false
}
