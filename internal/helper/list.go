package helper

import (
	"github.com/go-fusermount/fusermount/internal/collect"
	"github.com/go-fusermount/fusermount/internal/diagnose"
	"github.com/go-fusermount/fusermount/internal/priv"
	"github.com/go-fusermount/fusermount/internal/seccomp"
)

// giveUp gives up, for good, every right that is not the caller's own. A root caller
// keeps the one to read: of other users' connections, too.
func (h *helper) giveUp() error { return priv.Shed(priv.DACReadSearch) }

// onlyLook leaves the system calls that look.
func (h *helper) onlyLook() error { return seccomp.To(seccomp.Look, h.who.UID, h.who.GID) }

// list is --list.
func (h *helper) list() error {
	if err := h.giveUp(); err != nil {
		return err
	}
	if err := h.onlyLook(); err != nil {
		return err
	}
	mounts, hasFusectl, err := collect.Mounts()
	if err != nil {
		return err
	}
	if h.req.JSON {
		return h.report.print(diagnose.ListJSON(mounts, hasFusectl))
	}
	if err := h.report.print(diagnose.ListText(mounts, h.report.width())); err != nil {
		return err
	}
	for _, hint := range diagnose.ListHints(mounts, h.who.UID, hasFusectl) {
		h.report.warn("hint: " + hint)
	}
	return nil
}
