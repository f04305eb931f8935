package faults

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// verdict is the result of a run, and what is wrong with it.
type verdict struct {
	*run
	mounted bool     // alice has a mount
	errors  []string // messages of the helper
	warned  []string
	bad     []string
}

func (v *verdict) complain(format string, args ...any) {
	v.bad = append(v.bad, fmt.Sprintf(format, args...))
}

// judge checks the result of a run.
func (r *run) judge() *verdict {
	v := &verdict{run: r}
	if r.script != nil {
		v.complain("the run itself: %v", r.script)
		return v
	}
	v.readMounts()
	for _, s := range r.retained {
		v.complain("a privilege: %s", s)
	}
	if r.nfds > 1 {
		v.complain("%d descriptors", r.nfds)
	}
	switch {
	case r.hit && r.fault.kills:
		v.killed()
	case r.signalled():
		v.endedBySignal()
	case r.hit && r.fault.signal == 0 && slices.Contains(r.world.steps, r.at):
		v.readMessages()
		v.readTables()
		v.becomes()
	case r.hit && r.world.mode.start && r.fault.signal == 0:
		v.notBegun()
	default:
		v.readMessages()
		v.readTables()
		v.ended()
	}
	return v
}

// readMounts compares with the mounts before.
func (v *verdict) readMounts() {
	now, err := fusetest.AllMounts()
	if err != nil {
		v.complain("%v", err)
		return
	}
	gone := maps.Clone(v.world.others)
	for _, l := range now {
		was, other := gone[identify(l)]
		delete(gone, identify(l))
		switch {
		case !other:
			v.wantAlices(l)
		case guarded(l) && fmt.Sprint(l) != fmt.Sprint(was):
			v.complain("changed: %+v", l)
		}
	}
	for _, l := range gone {
		if guarded(l) {
			v.complain("gone: %+v", l)
		}
	}
}

// wantAlices wants a mount that the caller may have, and only one.
func (v *verdict) wantAlices(l fusetest.Line) {
	if v.mounted || l.Mountpoint != v.world.m || !strings.HasPrefix(l.FSType, "fuse") || !l.HasOption("nosuid") ||
		!l.HasOption("nodev") || !l.HasOption(fmt.Sprintf("user_id=%d", alice)) {
		v.complain("mounted: %+v", l)
	}
	v.mounted = true
}

// readMessages wants nothing but messages of the helper.
func (v *verdict) readMessages() {
	for line := range strings.Lines(v.result.Stderr) {
		text, ours := strings.CutPrefix(strings.TrimSuffix(line, "\n"), v.world.program+": ")
		switch {
		case !ours:
			v.complain("standard error has %q", line)
		case strings.HasPrefix(text, "warning: "):
			v.warned = append(v.warned, text)
		case !strings.HasPrefix(text, "hint: "):
			v.errors = append(v.errors, text)
		}
	}
}

// readTables wants complete tables that agree with the mounts, or a warning.
func (v *verdict) readTables() {
	for _, t := range v.world.mode.tables() {
		lines, err := t.read(v.world.m)
		if err != nil || lines > 1 {
			v.complain("%d lines in %s: %v", lines, t.path, err)
		}
		if (lines == 1) != v.mounted && len(v.warned) == 0 && !v.waiting {
			v.complain("mounted %v, %d lines in %s, and no warning", v.mounted, lines, t.path)
		}
	}
	strays, err := v.world.strays(v.cannotCleanUp())
	if err != nil || len(strays) > 0 {
		v.complain("left behind: %q, %v", strays, err)
	}
}

// cannotCleanUp reports whether a file may stay: the removal failed, or the lock did, so
// that the file may be another helper's.
func (v *verdict) cannotCleanUp() bool {
	return v.fault != nil && (v.at.name == "unlinkat" || v.at.name == "fcntl")
}

// endedBySignal wants everything to be as it was before.
func (v *verdict) endedBySignal() {
	v.readMessages()
	v.readTables()
	if v.mounted != v.world.mode.mounted {
		v.complain("mounted %v", v.mounted)
	}
	if held := v.world.held; held != nil {
		fds := []unix.PollFd{{Fd: int32(held.Fd()), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, 0); n != 1 || err != nil || fds[0].Revents != unix.POLLIN {
			v.complain("the connection has ended: %x, %v", fds[0].Revents, err)
		}
	}
	v.wantReply(false)
}

// killed is for a helper that was killed.
func (v *verdict) killed() {
	if v.result.Signal != unix.SIGKILL {
		v.complain("exit %d, signal %d", v.result.Exit, v.result.Signal)
	}
	for _, t := range v.world.mode.tables() {
		if lines, err := t.read(v.world.m); err != nil || lines > 1 {
			v.complain("%d lines in %s: %v", lines, t.path, err)
		}
	}
	strays, err := v.world.strays(true)
	if err != nil || len(strays) > 0 {
		v.complain("left behind: %q, %v", strays, err)
	}
}
