package policy

import (
	"cmp"

	"github.com/go-fusermount/fusermount/internal/mountopts"
)

// Terms are all that the kernel is told of a mount. Every value is typed:
// nothing of the caller's option text is passed on unparsed.
type Terms struct {
	BlockDevice bool   // the type is fuseblk, else fuse
	Subtype     string // S of fuse.S; empty: none
	Source      string

	// Of the superblock and of the mount.
	ReadOnly bool
	// Of the superblock.
	Sync, DirSync bool
	// Of the mount.
	NoSuid, NoDev, NoExec, NoAtime, NoDirAtime, NoSymfollow bool

	// The daemon's user and group: who may look into the mount, and who may
	// unmount it.
	UserID, GroupID uint32
	RootMode        uint32 // the file type bits of the mountpoint

	AllowOther, DefaultPermissions bool
	MaxRead, BlkSize               mountopts.Number
}

// Plan is a permission to mount. Only Mount makes one that permits anything,
// and there is no way to mount without one.
type Plan struct {
	terms       Terms
	granted     bool
	autoUnmount bool
	userspace   []string
}

// Terms gives the terms of the mount; ok is false for a Plan that nobody
// granted.
func (p Plan) Terms() (t Terms, ok bool) { return p.terms, p.granted }

// AutoUnmount says whether the mount is to be watched and cleaned up.
func (p Plan) AutoUnmount() bool { return p.autoUnmount }

// Userspace gives the x-* options, which are only recorded.
func (p Plan) Userspace() []string { return p.userspace }

// fileType are the bits of st_mode that say what a file is (S_IFMT).
const fileType = 0o170000

// Names gives the type and the source that a mount has in the kernel's table if its
// options ask for it; ok is false where they are none.
func Names(device string, options ...string) (fstype, source string, ok bool) {
	o, err := mountopts.Parse(options...)
	if err != nil {
		return "", "", false
	}
	fstype = "fuse"
	if o.BlkDev {
		fstype = "fuseblk"
	}
	if o.Subtype != "" {
		fstype += "." + o.Subtype
	}
	return fstype, sourceOf(o, device), true
}

func sourceOf(o mountopts.Options, device string) string {
	return cmp.Or(o.FSName, o.Subtype, device)
}

func newPlan(f MountFacts, o mountopts.Options) Plan {
	return Plan{
		granted:     true,
		autoUnmount: o.AutoUnmount,
		userspace:   o.Userspace,
		terms: Terms{
			BlockDevice: o.BlkDev,
			Subtype:     o.Subtype,
			Source:      sourceOf(o, f.Device),
			ReadOnly:    o.ReadOnly,
			Sync:        o.Sync,
			DirSync:     o.DirSync,
			NoSuid:      !o.Suid || !f.Caller.root(),
			NoDev:       !o.Dev || !f.Caller.root(),
			NoExec:      o.NoExec,
			NoAtime:     o.NoAtime,
			NoDirAtime:  o.NoDirAtime,
			NoSymfollow: o.NoSymfollow,
			UserID:      f.Caller.UID,
			GroupID:     f.Caller.GID,
			RootMode:    f.Mountpoint.Mode & fileType,
			AllowOther:  o.AllowOther && (f.Caller.root() || f.Settings.UserAllowOther),

			DefaultPermissions: o.DefaultPermissions,
			MaxRead:            o.MaxRead,
			BlkSize:            o.BlkSize,
		},
	}
}
