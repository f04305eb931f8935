package faults

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
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

// The next functions check a helper that was not killed, by the goal of its mode.

// notBegun checks a failure in the start of the Go runtime, which may end the process
// in any way. Then nothing was done.
func (v *verdict) notBegun() {
	if done := v.result.Exit == 0; v.mounted != done || (v.nfds == 1) != done {
		v.complain("mounted %v", v.mounted)
	}
}

// becomes checks a failure in a step by which the helper becomes its caller, before the
// Go runtime starts. The helper names the step, and does nothing. It may ignore a limit
// that cannot be raised, or a question that is answered later.
func (v *verdict) becomes() {
	v.ended()
	change := slices.Contains([]string{"setresuid", "setresgid", "capset", "prctl"}, v.at.name)
	if reported := len(v.errors) == 1 && strings.Contains(v.errors[0], v.at.name); change && !reported {
		v.complain("%s failed, and the messages are %q", v.at.name, v.errors)
	}
}

// ended checks a helper that has exited.
func (v *verdict) ended() {
	success := v.result.Exit == 0
	if !success && v.result.Exit != 1 {
		v.complain("another exit status than 0 and 1")
	}
	if success && len(v.errors) > 0 || !success && len(v.errors) != 1 && !v.mute() {
		v.complain("not one error")
	}
	if v.mustSucceed() && (success == (v.world.mode.goal == fails) || len(v.warned) > 0) {
		v.complain("not tried again after a signal")
	}
	switch v.world.mode.goal {
	case mounts:
		v.wantMount(success)
	case watches:
		v.wantWatch(success)
	case unmounts:
		if success && v.mounted {
			v.complain("still mounted")
		}
	case answers:
		if success == (v.result.Stdout == "") {
			v.complain("standard output is %q", v.result.Stdout)
		}
	case fails:
		if success || v.mounted || v.nfds > 0 && !v.world.mode.sync() {
			v.complain("mounted %v", v.mounted)
		}
	}
}

// mute reports whether the helper could not report an error: the write failed, or it
// was a watcher, which has no caller any more.
func (v *verdict) mute() bool {
	return v.waiting || v.fault != nil && v.at.name == "write" && v.fault.errno != unix.EINTR
}

// wantMount wants a mount whose device was received, or none.
func (v *verdict) wantMount(success bool) {
	if success != v.mounted {
		v.complain("mounted %v", v.mounted)
	}
	v.wantReply(success)
	if success && !v.served() {
		v.complain("the descriptor is not that of the mount")
	}
}

// wantReply wants a reply that is true.
func (v *verdict) wantReply(success bool) {
	if !v.world.mode.sync() {
		if (v.nfds == 1) != success || success && string(v.bytes) != "\x00" || len(v.bytes) != v.nfds {
			v.complain("the reply")
		}
		return
	}
	replied := len(v.bytes) == 5 && int32(binary.NativeEndian.Uint32(v.bytes[1:])) == 0
	if replied != success || len(v.bytes) > 1 && len(v.bytes) != 5 {
		v.complain("the status")
	}
}

// wantWatch wants no mount whose device was not received, and a warning for a mount
// that stays.
func (v *verdict) wantWatch(success bool) {
	warned := len(v.warned) == 1 && strings.Contains(v.warned[0], "will not be unmounted automatically")
	if (success || v.waiting) && v.mounted && !warned {
		v.complain("still mounted")
	}
	if v.world.mode.mounted { // --auto-unmount has nothing else to promise
		return
	}
	v.wantReply(success || v.waiting)
	if !success && !v.waiting && v.mounted {
		v.complain("mounted")
	}
}

// served reports whether the received device is that of the mount: the kernel's first
// request waits on it.
func (v *verdict) served() bool {
	if v.dev == nil {
		return false
	}
	fds := []unix.PollFd{{Fd: int32(v.dev.Fd()), Events: unix.POLLIN}}
	if n, err := unix.Poll(fds, 0); n != 1 || err != nil || fds[0].Revents != unix.POLLIN {
		return false
	}
	request := make([]byte, 1<<16)
	n, err := unix.Read(int(v.dev.Fd()), request)
	return err == nil && n > 8 && fuseserver.Opcode(binary.NativeEndian.Uint32(request[4:])) == fuseserver.OpInit
}

// restarted are calls that a signal may interrupt, as their manual pages say. The helper
// tries them again.
var restarted = []string{
	"openat", "read", "write", "sendmsg", "recvfrom", "ppoll", "flock", "wait4", "fsync", "dup3", "statfs", "fstatfs",
	"fsopen", "fsconfig", "fsmount", "move_mount", "mount", "umount2", "statmount", "listmount",
}

// mustSucceed reports whether the mode reaches its goal as if nothing had happened, as
// does one that a signal has not ended. (The child has all signals blocked.)
func (v *verdict) mustSucceed() bool {
	return v.fault == nil || v.fault.signal != 0 || v.fault.errno == unix.EINTR && slices.Contains(restarted, v.at.name) && !v.at.child
}
