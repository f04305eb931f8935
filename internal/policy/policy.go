// Package policy decides what the helper may do for a caller.
//
// It is pure: facts go in, a plan or a refusal comes out. There are no system calls,
// files or environment here, so that every decision can be read and tested in one place.
// Each function starts from no.
package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/go-fusermount/fusermount/internal/fsparam"
	"github.com/go-fusermount/fusermount/internal/fstypes"
	"github.com/go-fusermount/fusermount/internal/fuseconf"
	"github.com/go-fusermount/fusermount/internal/mountopts"
	"github.com/go-fusermount/fusermount/internal/printable"
)

// Caller is the real ids of the process.
type Caller struct {
	UID, GID uint32
	// Guest says that the caller is a client of the mount service: uid 0 is the root of a container
	// perhaps, and has no more rights than any other user.
	Guest bool
}

// Root says whether the caller is root (of their user namespace). What root may do in the
// end is the kernel's decision.
func (c Caller) Root() bool { return c.UID == 0 && !c.Guest }

// Refusal is a decision against the caller, and perhaps what they can do about it.
type Refusal struct{ Reason, Advice string }

func (r *Refusal) Error() string { return r.Reason }

// Hint is the advice.
func (r *Refusal) Hint() string { return r.Advice }

func refuse(reason, hint string) error { return &Refusal{Reason: reason, Advice: hint} }

// Plan is a permission to mount. Only Mount makes one that permits anything, and there is
// no way to mount without one.
type Plan struct {
	params  fsparam.Params
	granted bool

	AutoUnmount bool     // the mount is to be watched and cleaned up
	Userspace   []string // the x-* options, which are only recorded
}

// Params are what the kernel is told; ok is false for a Plan that was not granted.
func (p Plan) Params() (params fsparam.Params, ok bool) { return p.params, p.granted }

func newPlan(f MountFacts, o mountopts.Options) Plan {
	return Plan{
		granted:     true,
		AutoUnmount: o.AutoUnmount,
		Userspace:   o.Userspace,
		params: fsparam.Params{
			BlockDevice: o.BlkDev,
			Subtype:     o.Subtype,
			Source:      sourceOf(o, f.Device),
			ReadOnly:    o.ReadOnly,
			Sync:        o.Sync,
			DirSync:     o.DirSync,
			NoSuid:      !o.Suid || !f.Caller.Root(),
			NoDev:       !o.Dev || !f.Caller.Root(),
			NoExec:      o.NoExec,
			NoAtime:     o.NoAtime,
			NoDirAtime:  o.NoDirAtime,
			NoSymfollow: o.NoSymfollow,
			UserID:      f.Caller.UID,
			GroupID:     f.Caller.GID,
			RootMode:    f.Mountpoint.Mode & fileType,
			AllowOther:  o.AllowOther && (f.Caller.Root() || f.Settings.UserAllowOther),

			DefaultPermissions: o.DefaultPermissions,
			MaxRead:            o.MaxRead,
			BlkSize:            o.BlkSize,
		},
	}
}

func sourceOf(o mountopts.Options, device string) string { return cmp.Or(o.FSName, o.Subtype, device) }

// Names gives the type and the source that a mount with these options would have, for
// the log; ok is false where the options are invalid.
func Names(device string, options ...string) (fstype, source string, ok bool) {
	o, err := mountopts.Parse(options...)
	if err != nil {
		return "", "", false
	}
	fstype, source = NamesParsed(device, o)
	return fstype, source, true
}

// NamesParsed is Names for options that were parsed before.
func NamesParsed(device string, o mountopts.Options) (fstype, source string) {
	params := fsparam.Params{BlockDevice: o.BlkDev, Subtype: o.Subtype}
	return params.Type(), sourceOf(o, device)
}

// Mountpoint is what was found out about the pinned mountpoint, as the caller.
type Mountpoint struct {
	Path     string // canonical, for messages only
	Mode     uint32 // st_mode
	Owner    uint32
	Writable bool   // for the caller, by the kernel's own answer
	ReadOnly bool   // it is not since the file system is read-only, or it is immutable
	FSType   uint64 // f_type of statfs(2)
}

// Bits of st_mode (inode(7)).
const (
	fileType    = 0o170000
	directory   = 0o040000
	regularFile = 0o100000
	sticky      = 0o001000
)

// IsDirectory says whether the mountpoint is a directory.
func (m Mountpoint) IsDirectory() bool { return m.Mode&fileType == directory }

// MountFacts is all that Mount judges besides the options.
type MountFacts struct {
	Caller     Caller
	Settings   fuseconf.Settings
	Mountpoint Mountpoint
	// Mounted is the number of FUSE file systems in the caller's mount namespace, or an
	// upper bound of it below Settings.MountMax.
	Mounted int
	// ConfAdvice is what the administrator can do about a file of settings that is not used. It
	// changes only a hint.
	ConfAdvice string
	Device     string // the fuse device's path
	FuseBlk    bool   // /proc/filesystems lists fuseblk
}

// Mount judges the request to mount with these lists of options, in the order that the
// contract with callers gives. The notices are for the caller, also with an error.
func Mount(f MountFacts, options ...string) (plan Plan, notices []string, err error) {
	if err := place(f); err != nil {
		return Plan{}, nil, err
	}
	o, err := Parse(options...)
	if err != nil {
		return Plan{}, nil, err
	}
	return grant(f, o)
}

// MountParsed is Mount for options that were parsed before.
func MountParsed(f MountFacts, o mountopts.Options) (plan Plan, notices []string, err error) {
	if err := place(f); err != nil {
		return Plan{}, nil, err
	}
	return grant(f, o)
}

// place judges what does not depend on the options.
func place(f MountFacts) error {
	if limit := f.Settings.MountMax; !f.Caller.Root() && limit != fuseconf.NoLimit && f.Mounted >= limit {
		return refuse(
			"too many FUSE filesystems mounted; mount_max=N can be set in "+fuseconf.Path,
			fmt.Sprintf("the limit is %d for all users together: unmount what nobody needs ('fusectl list'), or ask the administrator to raise it",
				limit))
	}
	return Over(f.Caller, f.Settings, f.Mountpoint)
}

// Parse parses lists of options. The error is a Refusal.
func Parse(options ...string) (mountopts.Options, error) {
	o, err := mountopts.Parse(options...)
	if err == nil {
		return o, nil
	}
	hint := ""
	if unknown := (*mountopts.UnknownError)(nil); errors.As(err, &unknown) {
		hint = "fusermount3(1) lists the mount options; others belong to the program that serves the files"
	}
	return o, refuse(err.Error(), hint)
}

func grant(f MountFacts, o mountopts.Options) (plan Plan, notices []string, err error) {
	if notices, err = permitted(f, &o); err != nil {
		return Plan{}, notices, err
	}
	return newPlan(f, o), notices, nil
}

// Over judges what would be covered. Nobody, not even root, mounts over a symlink or a
// special file: what lies there could be exchanged.
func Over(c Caller, s fuseconf.Settings, m Mountpoint) error {
	if !m.IsDirectory() && m.Mode&fileType != regularFile {
		return refuse("mountpoint "+m.Path+" is not a directory or a regular file",
			"a symbolic link is not followed, and special files cannot be covered: name a directory")
	}
	if c.Root() {
		return nil
	}
	if m.IsDirectory() && m.Mode&sticky != 0 && m.Owner != c.UID {
		return refuse("mountpoint "+m.Path+" not owned by user",
			"a directory with the sticky bit can be mounted over by its owner alone")
	}
	if m.ReadOnly {
		return refuse("user has no write access to mountpoint "+m.Path,
			"it lies on a read-only file system, or is immutable (lsattr): choose a directory that can be written to")
	}
	if !m.Writable {
		return refuse("user has no write access to mountpoint "+m.Path,
			"a user can mount only where they may write: choose a directory of your own")
	}
	if fstypes.Ordinary(m.FSType) || s.MountOver.Has(m.FSType) {
		return nil
	}
	name := fstypes.Name(m.FSType)
	hint := "choose a directory on an ordinary file system, such as one in your home directory"
	if _, ok := fstypes.Allowable(name); ok {
		hint += ", or ask the administrator to add the line mount_over = " + name + " to " + fuseconf.Path
	}
	return refuse(fmt.Sprintf("mounting over filesystem type 0x%08x is forbidden (%s)",
		m.FSType, cmp.Or(name, "unknown to this program")), hint)
}

// maxUserspace bounds what a caller may have written into a table of root's, in bytes.
const maxUserspace = 4096

// permitted judges the options, and resets those in o that are ignored for this caller.
func permitted(f MountFacts, o *mountopts.Options) (notices []string, err error) {
	notices = obsolete(*o)
	if !f.Caller.Root() {
		if notices, err = forUser(f, o, notices); err != nil {
			return notices, err
		}
	}
	size := 0
	for _, option := range o.Userspace {
		size += len(option) + 1
	}
	if size > maxUserspace {
		return notices, refuse(fmt.Sprintf("the x-* options have %d bytes, and may have %d", size, maxUserspace), "")
	}
	if o.AllowRoot {
		return notices, noAllowRoot()
	}
	if o.BlkDev && !f.FuseBlk {
		return notices, refuse("'fuseblk' support missing", "the kernel was built without CONFIG_BLOCK or CONFIG_FUSE_FS")
	}
	return notices, nil
}

// forUser judges the options of a caller who is not root.
func forUser(f MountFacts, o *mountopts.Options, notices []string) ([]string, error) {
	notices, err := unsafe(o, notices)
	if err != nil {
		return notices, err
	}
	name := "allow_other"
	if !o.AllowOther {
		name = "allow_root"
	}
	if (o.AllowOther || o.AllowRoot) && !f.Settings.UserAllowOther {
		return notices, refuse("option "+name+" only allowed if 'user_allow_other' is set in "+fuseconf.Path,
			"leave the option out, or ask the administrator to "+
				cmp.Or(f.ConfAdvice, "add the line user_allow_other to "+fuseconf.Path))
	}
	return notices, nil
}

func obsolete(o mountopts.Options) (notices []string) {
	for _, name := range o.Obsolete {
		notices = append(notices, "option "+name+" is obsolete and ignored")
	}
	return notices
}

// noAllowRoot refuses an option that the kernel does not have.
func noAllowRoot() error {
	return refuse("unknown option 'allow_root'",
		"allow_root is the client's work: it asks the helper for allow_other and checks the uid of each request")
}

// ForService judges the options that the mount service never grants, so that a request cannot even
// say them, and resets those in o that are ignored.
func ForService(o *mountopts.Options) (notices []string, err error) {
	notices, err = unsafe(o, obsolete(*o))
	if err == nil && o.AllowRoot {
		err = noAllowRoot()
	}
	return notices, err
}

// unsafe judges the options that only root may use, and resets those in o that are ignored. It
// adds to notices.
func unsafe(o *mountopts.Options, notices []string) ([]string, error) {
	for name, on := range map[string]*bool{"suid": &o.Suid, "dev": &o.Dev} {
		if *on {
			*on = false
			notices = append(notices, "unsafe option "+name+" ignored")
		}
	}
	slices.Sort(notices)
	if o.BlkDev {
		return notices, refuse("option blkdev is privileged", "only root may mount a block device: leave the option out, or run the program as root")
	}
	return notices, nil
}

// Mounted is what the kernel's mount table says of one mount.
type Mounted struct {
	ID   uint64 // the id by which it was asked for
	Type string // with its subtype where known: fuse, fuse.sshfs, fuseblk …
	// Mountpoint is for messages only; it is empty where it cannot be seen.
	Mountpoint string
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
	Near       string    // if it is not: the mountpoint of a FUSE mount that may be meant
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
		return !f.Caller.Root()
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
			return UnmountPlan{}, refuse("failed to unmount "+f.Path+": Device or resource busy", first(m))
		case !ownedFuse(m, f.Caller):
			return UnmountPlan{}, refuse(
				fmt.Sprintf("failed to unmount %s: a mount of type %s that is not yours lies inside", f.Path, m.Type),
				"a lazy unmount would take it away as well; "+first(m))
		}
	}
	return UnmountPlan{id: f.Top.ID, lazy: f.Detaches(), granted: true}, nil
}

// first says that a mount inside has to go before the one around it.
func first(m Mounted) string {
	if m.Mountpoint == "" {
		return "a mount of type " + m.Type + " lies inside: unmount it first"
	}
	return "unmount " + printable.ShellWord(m.Mountpoint) + " first"
}

// notOurs says why the topmost mount is not the caller's to unmount.
func notOurs(f UnmountFacts) string {
	switch {
	case !f.Mountpoint && f.Near != "":
		return "name the mountpoint itself: fusermount3 -u " + printable.ShellWord(f.Near)
	case !f.Mountpoint:
		return "nothing is mounted there: name the mountpoint itself, not a link to it or a file inside; " +
			"'fusectl list' shows what is mounted"
	case !mountopts.IsFuse(f.Top.Type):
		return "what is mounted there is of type " + f.Top.Type + ", not FUSE: see umount(8)"
	case f.Caller.Root() || ownedFuse(f.Top, f.Caller):
		return ""
	case !f.Top.HasOwner:
		return "the kernel does not say whose mount it is"
	}
	return fmt.Sprintf("it was mounted by user %d, and you are user %d: that user or root can unmount it", f.Top.Owner, f.Caller.UID)
}

func ownedFuse(m Mounted, c Caller) bool {
	return mountopts.IsFuse(m.Type) && m.HasOwner && m.Owner == c.UID
}
