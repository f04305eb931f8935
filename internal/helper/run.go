// Package helper is one run of the set-uid program: its steps, its messages and its
// log.
package helper

import (
	"fmt"

	"github.com/go-fusermount/fusermount/internal/cmdline"
	"github.com/go-fusermount/fusermount/internal/priv"
	"github.com/go-fusermount/fusermount/internal/seccomp"
	"github.com/go-fusermount/fusermount/internal/signals"
)

// Exit statuses. Callers know no other.
const (
	exitSuccess = 0
	exitFailure = 1
)

// helper is one run of the program: for whom, what for, and whom to tell.
type helper struct {
	version string
	who     priv.Identity
	req     cmdline.Request
	report  *reporter
	tasks   seccomp.Task // what is left to be done
	path    string       // the mountpoint, canonical once it is resolved; for the log
	about   string       // type and source, as far as they are known; for the log
	over    bool         // what was asked for was done: what fails now is another matter
}

// Run is one run of the program, and returns its exit status: become the caller, read
// the request, carry it out, report what went wrong. No panic escapes it.
//
// It must be called on the main thread, and once. version is the build's own.
func Run(argv []string, version string) (status int) {
	calmCollector()
	report := newReporter(argv)
	defer func() {
		if p := recover(); p != nil {
			_ = signals.Release() // nobody is to wait here for who reads the message
			report.fail(fmt.Errorf("internal error: %v", p))
			status = exitFailure
		}
	}()
	if err := signals.Default(); err != nil {
		report.fail(err)
		return exitFailure
	}
	who, err := priv.Become()
	if err != nil {
		report.failHint(err, idsHint(err))
		return exitFailure
	}
	req, err := cmdline.Parse(argv)
	if err != nil {
		report.failHint(err, usageHint)
		return exitFailure
	}
	h := &helper{version: version, who: who, req: req, report: report, path: req.Mountpoint}
	err = h.carryOut()
	h.settle(err)
	if err != nil {
		report.failHint(err, h.hint(err))
		return exitFailure
	}
	return exitSuccess
}

func (h *helper) carryOut() error {
	if text, ok := h.known(); ok {
		return h.printAlone(text)
	}
	switch h.req.Mode {
	case cmdline.Unmount:
		return h.logged("unmount", h.unmount())
	case cmdline.Watch:
		return h.logged("watch", h.watchMounted())
	default:
		return h.logged("mount", h.mount())
	}
}

// known is what can be said without a look at anything.
func (h *helper) known() (text string, ok bool) {
	switch h.req.Mode {
	case cmdline.Help:
		return usage, true
	case cmdline.Version:
		return versionText(h.version), true
	case cmdline.Features:
		return features, true
	case cmdline.FeaturesText:
		return featuresText, true
	}
	return "", false
}
