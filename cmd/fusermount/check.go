package main

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fstypes"
	"github.com/go-fusermount/fusermount/internal/fuseconf"
	"github.com/go-fusermount/fusermount/internal/fusectl"
	"github.com/go-fusermount/fusermount/internal/kernel"
	"github.com/go-fusermount/fusermount/internal/look"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/people"
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
	filters := look.Filters() // before there is one of our own
	if err := h.onlyLook(); err != nil {
		return err
	}
	facts, err := h.facts(filters)
	if err != nil {
		return err
	}
	findings := people.Check(facts)
	text := people.CheckText(findings, h.report.width())
	if h.req.JSON {
		text = people.CheckJSON(findings)
	}
	if err := h.report.print(text); err != nil {
		return err
	}
	if people.Failed(findings) {
		return errTold
	}
	return nil
}

func (h *helper) facts(filters int) (f people.Facts, err error) {
	f.UID = h.who.UID
	f.Around = look.Around(filters)
	f.Device, f.Around.SyncInit = h.deviceFacts()
	if f.Device.Known, err = kernel.KnowsFS("fuse"); err != nil {
		return f, err
	}
	if !f.Device.Known {
		f.Device.Module, f.Device.Locked = look.Module(f.Around.Release)
	}
	f.Program = h.programFacts()
	f.Conf = h.confFacts()
	if f.Mounts, f.Fusectl, err = look.Mounts(); err != nil {
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
func (h *helper) problem(err error) *people.Problem {
	if err == nil {
		return nil
	}
	return &people.Problem{Text: err.Error(), Next: h.hint(err)}
}

func (h *helper) deviceFacts() (facts people.Device, syncInit people.Feature) {
	facts.Path = devicePath()
	device, err := kernel.OpenDevice(facts.Path)
	var failed *kernel.DeviceError
	facts.Absent = errors.As(err, &failed) && failed.Absent()
	facts.Problem = h.problem(err)
	if err != nil {
		return facts, people.Unasked
	}
	defer unix.Close(device.FD())
	if facts.Wrong = !fusectl.IsDevice(device.FD()); facts.Wrong {
		return facts, people.Unasked
	}
	return facts, look.SyncInit(device.FD())
}

func (h *helper) programFacts() people.Program {
	p := look.Program()
	p.NoNewPrivs = h.who.Origin.NoNewPrivs
	p.Privileged = h.who.Origin.Permitted.Has(priv.SysAdmin)
	p.Missing = h.who.Origin.Explain()
	return p
}

func (h *helper) confFacts() people.Conf {
	var lines []fuseconf.Line
	c, err := h.readConf(func(line fuseconf.Line) { lines = append(lines, line) })
	facts := people.Conf{Absent: c.absent, Lines: lines, Settings: c.settings, Problem: h.problem(err), Fatal: err != nil, Allows: c.allows}
	if c.unused != "" {
		facts.Problem = &people.Problem{Text: c.unused, Next: "the file has to be root's, writable for root alone, and readable for you"}
	}
	return facts
}

// placeFacts looks at the mountpoint that was named, and stops at FUSE.
func (h *helper) placeFacts(settings fuseconf.Settings, mounts []people.Mount) *people.Place {
	found, err := look.Find(h.req.Mountpoint)
	if err != nil {
		return &people.Place{Path: h.req.Mountpoint, Problem: h.problem(err)}
	}
	defer found.Close()
	place := &people.Place{Path: found.Path}
	if found.FUSE() {
		if m := listed(found, mounts); found.Inside {
			place.Through = m
		} else {
			place.Mounted = m
		}
		return place
	}
	facts, err := kernel.Describe(found.FD, found.Path, h.who.UID)
	if err != nil {
		place.Problem = h.problem(&kernel.AccessError{Path: found.Path, Errno: err})
		return place
	}
	place.Problem = h.problem(policy.Over(policy.Caller{UID: h.who.UID, GID: h.who.GID}, settings, facts))
	place.Kind = facts.Kind.String()
	place.FSName = fstypes.Name(facts.FSType)
	return place
}

// listed finds the mount that was met among those of the table. One that is not
// there was mounted meanwhile, or lies outside of the process's root.
func listed(found look.Found, mounts []people.Mount) *people.Mount {
	id, err := mtab.OldID(found.FD)
	i := slices.IndexFunc(mounts, func(m people.Mount) bool { return err == nil && m.ID == id })
	if i >= 0 {
		return &mounts[i]
	}
	owner, has := found.Mount.Owner()
	return &people.Mount{Mountpoint: found.Path, Type: found.Mount.Type, Owner: owner, HasOwner: has, FSOptions: found.Mount.SuperOptions, State: people.Unknown}
}
