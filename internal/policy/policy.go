// Package policy decides what the helper may do for a caller.
//
// It is pure: facts go in, a plan or a refusal comes out. There are no system calls,
// files or environment here, so that every decision can be read and tested in one place.
// Each function starts from no.
package policy

import (
	"cmp"

	"github.com/go-fusermount/fusermount/internal/fsparam"
	"github.com/go-fusermount/fusermount/internal/mountopts"
)

// Caller is the real ids of the process.
type Caller struct{ UID, GID uint32 }

// root says whether the caller is root (of their user namespace). What root may do in the
// end is the kernel's decision.
func (c Caller) root() bool { return c.UID == 0 }

// Refusal is a decision against the caller, and perhaps what they can do about it.
type Refusal struct{ Reason, Hint string }

func (r *Refusal) Error() string { return r.Reason }

func refuse(reason, hint string) error { return &Refusal{Reason: reason, Hint: hint} }

// Plan is a permission to mount. Only Mount makes one that permits anything, and there is
// no way to mount without one.
type Plan struct {
	params      fsparam.Params
	granted     bool
	autoUnmount bool
	userspace   []string
}

// Params are what the kernel is told; ok is false for a Plan that was not granted.
func (p Plan) Params() (params fsparam.Params, ok bool) { return p.params, p.granted }

// AutoUnmount says whether the mount is to be watched and cleaned up.
func (p Plan) AutoUnmount() bool { return p.autoUnmount }

// Userspace gives the x-* options, which are only recorded.
func (p Plan) Userspace() []string { return p.userspace }

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

func sourceOf(o mountopts.Options, device string) string { return cmp.Or(o.FSName, o.Subtype, device) }

// Names gives the type and the source that a mount with these options would have, for
// the log; ok is false where the options are invalid.
func Names(device string, options ...string) (fstype, source string, ok bool) {
	o, err := mountopts.Parse(options...)
	if err != nil {
		return "", "", false
	}
	params := fsparam.Params{BlockDevice: o.BlkDev, Subtype: o.Subtype}
	return params.Type(), sourceOf(o, device), true
}
