package policy

import (
	"errors"
	"fmt"
	"slices"

	"github.com/go-fusermount/fusermount/internal/fuseconf"
	"github.com/go-fusermount/fusermount/internal/mountopts"
)

// MountFacts is all that Mount judges besides the options.
type MountFacts struct {
	Caller   Caller
	Settings fuseconf.Settings
	// Mounted is the number of FUSE file systems in the caller's mount
	// namespace, or an upper bound of it below Settings.MountMax.
	Mounted    int
	Mountpoint Mountpoint
	// ConfUnused says that the file of settings has user_allow_other, and is not
	// used since it is not root's alone. It changes a hint, and nothing else.
	ConfUnused bool
	// Device is the fuse device's path: the source of a mount that names
	// neither source nor subtype.
	Device string
	// FuseBlk says whether /proc/filesystems lists fuseblk.
	FuseBlk bool
}

// Mount judges the request to mount with these lists of options, in the order
// that the contract with callers gives. The notices are for the caller's eyes,
// whatever comes out.
func Mount(f MountFacts, options ...string) (plan Plan, notices []string, err error) {
	if !f.Caller.root() {
		if err := underLimit(f); err != nil {
			return Plan{}, nil, err
		}
	}
	if err := Over(f.Caller, f.Settings, f.Mountpoint); err != nil {
		return Plan{}, nil, err
	}
	o, err := mountopts.Parse(options...)
	if err != nil {
		return Plan{}, nil, refuse(err.Error(), optionHint(err))
	}
	if notices, err = permitted(f, &o); err != nil {
		return Plan{}, notices, err
	}
	return newPlan(f, o), notices, nil
}

// optionHint is for options that this program does not know; what is wrong with
// a value is said by the error.
func optionHint(err error) string {
	var unknown *mountopts.UnknownError
	if !errors.As(err, &unknown) {
		return ""
	}
	return "fusermount3(1) lists the mount options; others belong to the program that serves the files"
}

func underLimit(f MountFacts) error {
	if f.Settings.MountMax == fuseconf.NoLimit || f.Mounted < f.Settings.MountMax {
		return nil
	}
	return refuse(
		"too many FUSE filesystems mounted; mount_max=N can be set in "+fuseconf.Path,
		fmt.Sprintf("the limit is %d for all users together: unmount what nobody needs ('fusectl list'), or ask the administrator to raise it",
			f.Settings.MountMax))
}

// permitted judges the options, and takes out of o what is ignored for this
// caller.
func permitted(f MountFacts, o *mountopts.Options) (notices []string, err error) {
	for _, name := range o.Obsolete {
		notices = append(notices, "option "+name+" is obsolete and ignored")
	}
	if !f.Caller.root() {
		if notices, err = forUser(f, o, notices); err != nil {
			return notices, err
		}
	}
	if size := userspaceSize(o.Userspace); size > maxUserspace {
		return notices, refuse(fmt.Sprintf("the x-* options have %d bytes, and may have %d", size, maxUserspace), "")
	}
	if o.AllowRoot {
		// The kernel knows no such option: the client must hold others back.
		return notices, refuse("unknown option 'allow_root'",
			"allow_root is the client's work: it asks the helper for allow_other and checks the uid of each request")
	}
	if o.BlkDev && !f.FuseBlk {
		return notices, refuse("'fuseblk' support missing", "the kernel was built without CONFIG_BLOCK or CONFIG_FUSE_FS")
	}
	return notices, nil
}

// maxUserspace bounds what a caller may have written into a table of root's, in
// bytes.
const maxUserspace = 4096

func userspaceSize(options []string) (size int) {
	for _, option := range options {
		size += len(option) + 1
	}
	return size
}

func allowHint(f MountFacts) string {
	const begin = "leave the option out, or ask the administrator to "
	if f.ConfUnused {
		return begin + "make " + fuseconf.Path + " root's, and writable for root alone: it has the line user_allow_other already"
	}
	return begin + "add the line user_allow_other to " + fuseconf.Path
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
	for _, want := range []struct {
		name string
		on   bool
	}{{"allow_other", o.AllowOther}, {"allow_root", o.AllowRoot}} {
		if want.on && !f.Settings.UserAllowOther {
			return notices, refuse("option "+want.name+" only allowed if 'user_allow_other' is set in "+fuseconf.Path, allowHint(f))
		}
	}
	return notices, nil
}
