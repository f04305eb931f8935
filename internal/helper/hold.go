package helper

import (
	"github.com/go-fusermount/fusermount/internal/signals"
)

// Signals end the program wherever it may wait. Package kernel holds them once the
// mount table is changed, and then they come too late: what was begun is done first,
// or taken back. So whoever sees the program ended by a signal finds everything as it
// was before.

// tellHeld writes the warnings that had to wait, and lets signals end that.
func (h *helper) tellHeld() {
	if !h.report.waits() {
		return
	}
	err := signals.Through(func() error {
		h.report.flush()
		return nil
	})
	if err != nil { // they stay held, and the caller should hear of it all the same
		h.report.flush()
	}
}

// settle is the end of what was begun. When all is done there is nothing left that a
// signal could end but the telling; after a failure there is.
func (h *helper) settle(err error) {
	if err == nil {
		h.tellHeld()
		return
	}
	if err := signals.Release(); err != nil {
		h.report.warn("warning: " + err.Error())
	}
	h.report.flush()
}
