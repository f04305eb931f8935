package policy

import (
	"fmt"

	"github.com/go-fusermount/fusermount/internal/mountopts"
)

// Mounted is what the kernel's mount table says of one mount.
type Mounted struct {
	ID   uint64 // the id by which it was asked for
	Type string // with its subtype where known: fuse, fuse.sshfs, fuseblk …
	// Owner is the user_id of a FUSE mount, HasOwner whether it has one.
	Owner    uint32
	HasOwner bool
}

// UnmountFacts is all that Unmount judges.
type UnmountFacts struct {
	Caller Caller
	Path   string // canonical, for messages only
	Lazy   bool
	// Mountpoint says whether the path is the root of a mount, Top what is
	// mounted there, topmost.
	Mountpoint bool
	Top        Mounted
	// Inside are the mounts below Top. They are looked up for a lazy unmount
	// alone: the kernel itself refuses the other kind while there are any.
	Inside []Mounted
}

// UnmountPlan is a permission to unmount one mount, known by its id. Only
// Unmount makes one that permits anything.
type UnmountPlan struct {
	id      uint64
	lazy    bool
	granted bool
}

// Terms gives the mount to take away and how; ok is false for a plan that
// nobody granted.
func (p UnmountPlan) Terms() (id uint64, lazy, ok bool) { return p.id, p.lazy, p.granted }

// Unmount judges the request to unmount.
func Unmount(f UnmountFacts) (UnmountPlan, error) {
	if hint := notOurs(f); hint != "" {
		return UnmountPlan{}, refuse("entry for "+f.Path+" not found in /etc/mtab", hint)
	}
	if f.Lazy && !f.Caller.root() {
		for _, m := range f.Inside {
			if !ownedFuse(m, f.Caller) {
				return UnmountPlan{}, refuse(
					fmt.Sprintf("failed to unmount %s: a mount of type %s that is not yours lies inside", f.Path, m.Type),
					"a lazy unmount would take it away as well; it has to be unmounted first")
			}
		}
	}
	return UnmountPlan{id: f.Top.ID, lazy: f.Lazy, granted: true}, nil
}

// notOurs says why the topmost mount is not the caller's to unmount.
func notOurs(f UnmountFacts) string {
	switch {
	case !f.Mountpoint:
		return "nothing is mounted there: name the mountpoint itself, not a link to it or a file inside"
	case !mountopts.IsFuse(f.Top.Type):
		return "what is mounted there is of type " + f.Top.Type + ", not FUSE: see umount(8)"
	case f.Caller.root() || ownedFuse(f.Top, f.Caller):
		return ""
	case !f.Top.HasOwner:
		return "the kernel does not say whose mount it is"
	}
	return fmt.Sprintf("it was mounted by uid %d, and you are uid %d: that user or root can unmount it", f.Top.Owner, f.Caller.UID)
}

func ownedFuse(m Mounted, c Caller) bool {
	return mountopts.IsFuse(m.Type) && m.HasOwner && m.Owner == c.UID
}
