package helper

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/collect"
	"github.com/go-fusermount/fusermount/internal/diagnose"
	"github.com/go-fusermount/fusermount/internal/fstypes"
	"github.com/go-fusermount/fusermount/internal/fuseconf"
	"github.com/go-fusermount/fusermount/internal/fusedev"
	"github.com/go-fusermount/fusermount/internal/mount"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/policy"
	"github.com/go-fusermount/fusermount/internal/priv"
)

// errTold is a failure of which everything is said already.
var errTold = errors.New("something is wrong")

// check is --check: what keeps the caller from mounting, as far as he can find out
// himself.
func (h *helper) check() error {
	if err := h.giveUp(); err != nil {
		return err
	}
	filters := collect.Filters() // before there is one of our own
	if err := h.onlyLook(); err != nil {
		return err
	}
	facts, err := h.facts(filters)
	if err != nil {
		return err
	}
	findings := diagnose.Check(facts)
	text := diagnose.CheckText(findings, h.report.width())
	if h.req.JSON {
		text = diagnose.CheckJSON(findings)
	}
	if err := h.report.print(text); err != nil {
		return err
	}
	if diagnose.Failed(findings) {
		return errTold
	}
	return nil
}

func (h *helper) facts(filters int) (f diagnose.Facts, err error) {
	f.UID = h.who.UID
	f.Around = collect.Around(filters)
	f.Device, f.Around.SyncInit = h.deviceFacts()
	if f.Device.Known, err = mount.KnowsFS("fuse"); err != nil {
		return f, err
	}
	if !f.Device.Known {
		f.Device.Module, f.Device.Locked = collect.Module(f.Around.Release)
	}
	f.Program = h.programFacts()
	f.Conf = h.confFacts()
	if f.Mounts, f.Fusectl, err = collect.Mounts(); err != nil {
		return f, err
	}
	if f.Count, err = mtab.CountFuse(); err != nil {
		return f, err
	}
	if h.req.Mountpoint != "" {
		f.Place = h.placeFacts(f.Conf.Settings, f.Mounts)
	}
	return f, nil
}

// problem is an error as mounting would tell it.
func (h *helper) problem(err error) *diagnose.Problem {
	if err == nil {
		return nil
	}
	return &diagnose.Problem{Text: err.Error(), Next: h.hint(err)}
}

func (h *helper) deviceFacts() (facts diagnose.Device, syncInit diagnose.Feature) {
	facts.Path = devicePath()
	device, err := mount.OpenDevice(facts.Path)
	var failed *mount.DeviceError
	facts.Absent = errors.As(err, &failed) && failed.Absent()
	facts.Problem = h.problem(err)
	if err != nil {
		return facts, diagnose.Unasked
	}
	defer unix.Close(device.FD())
	if facts.Wrong = !fusedev.Is(device.FD()); facts.Wrong {
		return facts, diagnose.Unasked
	}
	return facts, collect.SyncInit(device.FD())
}

func (h *helper) programFacts() diagnose.Program {
	p := collect.Program()
	p.NoNewPrivs = h.who.Origin.NoNewPrivs
	p.Privileged = h.who.Origin.Permitted.Has(priv.SysAdmin)
	p.Missing = h.who.Origin.Explain()
	return p
}

func (h *helper) confFacts() diagnose.Conf {
	var lines []fuseconf.Line
	c, err := h.readConf(func(line fuseconf.Line) { lines = append(lines, line) })
	facts := diagnose.Conf{Absent: c.absent, Lines: lines, Settings: c.settings, Problem: h.problem(err), Fatal: err != nil, Allows: c.allows}
	if c.unused != "" {
		facts.Problem = &diagnose.Problem{Text: c.unused, Next: "the file has to be root's, writable for root alone, and readable for you"}
	}
	return facts
}

// placeFacts looks at the mountpoint that was named, and stops at FUSE.
func (h *helper) placeFacts(settings fuseconf.Settings, mounts []diagnose.Mount) *diagnose.Place {
	found, err := collect.Find(h.req.Mountpoint)
	if err != nil {
		return &diagnose.Place{Path: h.req.Mountpoint, Problem: h.problem(err)}
	}
	defer found.Close()
	place := &diagnose.Place{Path: found.Path}
	if found.FUSE() {
		if m := listed(found, mounts); found.Inside {
			place.Through = m
		} else {
			place.Mounted = m
		}
		return place
	}
	facts, err := mount.Describe(found.FD, found.Path, h.who.UID)
	if err != nil {
		place.Problem = h.problem(&mount.AccessError{Path: found.Path, Errno: err})
		return place
	}
	place.Problem = h.problem(policy.Over(policy.Caller{UID: h.who.UID, GID: h.who.GID}, settings, facts))
	place.Kind = facts.Kind.String()
	place.FSName = fstypes.Name(facts.FSType)
	return place
}

// listed finds the mount that was met among those of the table. One that is not
// there was mounted meanwhile, or lies outside of the process's root.
func listed(found collect.Found, mounts []diagnose.Mount) *diagnose.Mount {
	id, err := mtab.OldID(found.FD)
	i := slices.IndexFunc(mounts, func(m diagnose.Mount) bool { return err == nil && m.ID == id })
	if i >= 0 {
		return &mounts[i]
	}
	owner, has := found.Mount.Owner()
	return &diagnose.Mount{Mountpoint: found.Path, Type: found.Mount.Type, Owner: owner, HasOwner: has, FSOptions: found.Mount.SuperOptions, State: diagnose.Unknown}
}
