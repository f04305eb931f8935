package faults

import (
	"encoding/binary"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

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

// ended is for a helper that came to an end by itself.
func (v *verdict) ended() {
	success := v.result.Exit == 0
	if !success && v.result.Exit != 1 {
		v.complain("another exit status than 0 and 1")
	}
	if told := success || v.advised(); told && len(v.errors) > 0 || !told && len(v.errors) != 1 && !v.mute() {
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
	case answers, advises:
		if (success || v.advised()) == (v.result.Stdout == "") {
			v.complain("said %q", v.result.Stdout)
		}
	case fails:
		if success || v.mounted || v.nfds > 0 && !v.world.mode.sync() {
			v.complain("mounted %v", v.mounted)
		}
	}
}

// advised says that exit status 1 is an answer, and no failure.
func (v *verdict) advised() bool { return v.world.mode.goal == advises && v.result.Stdout != "" }

// mute says that the helper could not tell what went wrong: it was the telling
// that failed, or it waited with nobody to tell.
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
	return err == nil && n > 8 && fusetest.Opcode(binary.NativeEndian.Uint32(request[4:])) == fusetest.OpInit
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
