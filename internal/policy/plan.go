package policy

import (
	"cmp"

	"github.com/go-fusermount/fusermount/internal/fsparam"
	"github.com/go-fusermount/fusermount/internal/mountopts"
)

// Plan is a permission to mount. Only Mount makes one that permits anything,
// and there is no way to mount without one.
type Plan struct {
	params      fsparam.Params
	granted     bool
	autoUnmount bool
	userspace   []string
}

// Params are what the kernel is told of the mount; ok is false for a Plan that nobody
// granted.
func (p Plan) Params() (params fsparam.Params, ok bool) { return p.params, p.granted }

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
	params := fsparam.Params{BlockDevice: o.BlkDev, Subtype: o.Subtype}
	return params.Type(), sourceOf(o, device), true
}

func sourceOf(o mountopts.Options, device string) string {
	return cmp.Or(o.FSName, o.Subtype, device)
}

func newPlan(f MountFacts, o mountopts.Options) Plan {
	return Plan{
		granted:     true,
		autoUnmount: o.AutoUnmount,
		userspace:   o.Userspace,
		params: fsparam.Params{
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
