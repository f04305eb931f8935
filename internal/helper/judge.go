package helper

import (
	"github.com/go-fusermount/fusermount/internal/fuseconf"
	"github.com/go-fusermount/fusermount/internal/mount"
	"github.com/go-fusermount/fusermount/internal/policy"
)

// judgeMount finds out what there is to know now, and decides. What the caller
// should know besides goes to tell.
func (h *helper) judgeMount(at *mount.Mountpoint, device *mount.Device, tell func(string)) (policy.Plan, error) {
	facts, err := h.mountFacts(at, device, tell)
	if err != nil {
		return policy.Plan{}, err
	}
	plan, notices, err := policy.Mount(facts, h.req.Options...)
	for _, notice := range notices {
		tell(notice)
	}
	return plan, err
}

// judgeAgain is asked when all is done but to attach the mount. The caller may have
// stopped us since the first judgement for as long as he liked, by a signal, by a
// standard error that nobody reads, or in sync-init by not answering: he may have
// lost a right, or filled the table up to mount_max meanwhile.
func (h *helper) judgeAgain(at *mount.Mountpoint, device *mount.Device) func() error {
	return func() error {
		if err := at.Examine(h.who.UID); err != nil {
			return err
		}
		_, err := h.judgeMount(at, device, func(string) {}) // he was told before
		return err
	}
}

func (h *helper) mountFacts(at *mount.Mountpoint, device *mount.Device, tell func(string)) (policy.MountFacts, error) {
	c, err := h.settings(tell)
	if err != nil {
		return policy.MountFacts{}, err
	}
	fuseblk, err := h.knowsFuseblk()
	if err != nil {
		return policy.MountFacts{}, err
	}
	facts := policy.MountFacts{
		Caller:     policy.Caller{UID: h.who.UID, GID: h.who.GID},
		Settings:   c.settings,
		ConfUnused: c.allows,
		Mountpoint: at.Facts(),
		Device:     device.Path(),
		FuseBlk:    fuseblk,
	}
	if h.who.UID != 0 && c.settings.MountMax != fuseconf.NoLimit {
		facts.Mounted, err = mount.CountFuse(c.settings.MountMax)
	}
	return facts, err
}

func (h *helper) knowsFuseblk() (bool, error) {
	if !h.mentions("blkdev") {
		return false, nil
	}
	return mount.KnowsFS("fuseblk")
}
