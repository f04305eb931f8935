package policy

import (
	"fmt"
	"slices"

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
	Caller     Caller
	Path       string // canonical, for messages only
	Lazy       bool
	Mountpoint bool      // the path is the root of a mount
	Top        Mounted   // what is mounted there, topmost
	Below      []Mounted // on whose roots Top lies, which would come to light at the same name
	Inside     []Mounted // below Top, where AsksInside
}

// UnmountPlan is a permission to unmount one mount, known by its id. Only Unmount makes
// one that permits anything.
type UnmountPlan struct {
	id      uint64
	lazy    bool
	granted bool
}

// Terms gives the mount to unmount and how; ok is false for a plan that was not granted.
func (p UnmountPlan) Terms() (id uint64, lazy, ok bool) { return p.id, p.lazy, p.granted }

// Detaches says whether the mount goes by its descriptor, though it may be in use. The
// other kind of unmount goes by the name, and would hit what is below if Top were gone by
// then: the caller can unmount a whole stack at that moment. So all of that must be theirs.
func (f UnmountFacts) Detaches() bool { return f.Lazy || f.onOthers() }

func (f UnmountFacts) onOthers() bool {
	return slices.ContainsFunc(f.Below, func(m Mounted) bool { return !ownedFuse(m, f.Caller) })
}

// AsksInside says whether mounts inside matter: detaching includes them, while the kernel
// itself refuses the other kind. For -z, root is not asked.
func (f UnmountFacts) AsksInside() bool {
	if f.Lazy {
		return !f.Caller.root()
	}
	return f.onOthers()
}

// Unmount judges the request to unmount.
func Unmount(f UnmountFacts) (UnmountPlan, error) {
	if hint := notOurs(f); hint != "" {
		return UnmountPlan{}, refuse("entry for "+f.Path+" not found in /etc/mtab", hint)
	}
	for _, m := range f.Inside {
		switch {
		case !f.AsksInside():
		case !f.Lazy:
			return UnmountPlan{}, refuse("failed to unmount "+f.Path+": Device or resource busy", "a mount of type "+m.Type+" lies inside")
		case !ownedFuse(m, f.Caller):
			return UnmountPlan{}, refuse(
				fmt.Sprintf("failed to unmount %s: a mount of type %s that is not yours lies inside", f.Path, m.Type),
				"a lazy unmount would take it away as well; it has to be unmounted first")
		}
	}
	return UnmountPlan{id: f.Top.ID, lazy: f.Detaches(), granted: true}, nil
}

// notOurs says why the topmost mount is not the caller's to unmount.
func notOurs(f UnmountFacts) string {
	switch {
	case !f.Mountpoint:
		return "nothing is mounted there: name the mountpoint itself, not a link to it or a file inside; " +
			"'fusectl list' shows what is mounted"
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
