package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/go-fusermount/fusermount/internal/fstypes"
	"github.com/go-fusermount/fusermount/internal/fuseconf"
	"github.com/go-fusermount/fusermount/internal/mountopts"
)

// Mountpoint is what was found out about the pinned mountpoint, as the caller.
type Mountpoint struct {
	Path     string // canonical, for messages only
	Mode     uint32 // st_mode
	Owner    uint32
	Writable bool   // for the caller, by the kernel's own answer
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
	// ConfUnused says that the file of settings is not used since others than root may have
	// written it, and has user_allow_other. It changes only a hint.
	ConfUnused bool
	Device     string // the fuse device's path
	FuseBlk    bool   // /proc/filesystems lists fuseblk
}

// Mount judges the request to mount with these lists of options, in the order that the
// contract with callers gives. The notices are for the caller, also with an error.
func Mount(f MountFacts, options ...string) (plan Plan, notices []string, err error) {
	if limit := f.Settings.MountMax; !f.Caller.root() && limit != fuseconf.NoLimit && f.Mounted >= limit {
		return Plan{}, nil, refuse(
			"too many FUSE filesystems mounted; mount_max=N can be set in "+fuseconf.Path,
			fmt.Sprintf("the limit is %d for all users together: unmount what nobody needs ('fusectl list'), or ask the administrator to raise it",
				limit))
	}
	if err := Over(f.Caller, f.Settings, f.Mountpoint); err != nil {
		return Plan{}, nil, err
	}
	o, err := mountopts.Parse(options...)
	if err != nil {
		hint := ""
		if unknown := (*mountopts.UnknownError)(nil); errors.As(err, &unknown) {
			hint = "fusermount3(1) lists the mount options; others belong to the program that serves the files"
		}
		return Plan{}, nil, refuse(err.Error(), hint)
	}
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
	if c.root() {
		return nil
	}
	if m.IsDirectory() && m.Mode&sticky != 0 && m.Owner != c.UID {
		return refuse("mountpoint "+m.Path+" not owned by user",
			"a directory with the sticky bit can be mounted over by its owner alone")
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
	for _, name := range o.Obsolete {
		notices = append(notices, "option "+name+" is obsolete and ignored")
	}
	if !f.Caller.root() {
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
	if o.AllowRoot { // the kernel has no such option
		return notices, refuse("unknown option 'allow_root'",
			"allow_root is the client's work: it asks the helper for allow_other and checks the uid of each request")
	}
	if o.BlkDev && !f.FuseBlk {
		return notices, refuse("'fuseblk' support missing", "the kernel was built without CONFIG_BLOCK or CONFIG_FUSE_FS")
	}
	return notices, nil
}

// forUser judges the options of a caller who is not root.
func forUser(f MountFacts, o *mountopts.Options, notices []string) ([]string, error) {
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
	name := "allow_other"
	if !o.AllowOther {
		name = "allow_root"
	}
	if (o.AllowOther || o.AllowRoot) && !f.Settings.UserAllowOther {
		hint := "leave the option out, or ask the administrator to "
		if f.ConfUnused {
			hint += "make " + fuseconf.Path + " root's, and writable for root alone: it has the line user_allow_other already"
		} else {
			hint += "add the line user_allow_other to " + fuseconf.Path
		}
		return notices, refuse("option "+name+" only allowed if 'user_allow_other' is set in "+fuseconf.Path, hint)
	}
	return notices, nil
}
