package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// spot is one system call of a mode: the nth of its name, from 1, in the helper or in
// the child that it forks.
type spot struct {
	child bool
	name  string
	nth   int
}

func (s spot) String() string {
	if s.child {
		return fmt.Sprintf("the child's %s %d", s.name, s.nth)
	}
	return fmt.Sprintf("%s %d", s.name, s.nth)
}

// fault is what happens to the helper at one spot.
type fault struct {
	name   string
	does   helpertest.Verdict
	errno  unix.Errno
	signal unix.Signal // sent before the call, which is carried out if the process survives
	kills  bool        // the helper is killed
	parent bool        // it hits the helper while its child makes the call, or a worker's child itself
}

// run is one run of the helper.
type run struct {
	world *world
	at    spot
	fault *fault // nil: nothing happens

	// Only the interceptor uses these until the helper has ended.
	calls    []spot       // in order
	counts   map[spot]int // of calls, by spot with nth 0
	hit      bool
	pid      int
	confined bool          // it has the caller's ids, and its seccomp filter
	waiting  bool          // it waits as the watcher of auto_unmount
	creating chan struct{} // closed when the child has the kernel create the file system
	retained []string      // privileges that it should not have
	blind    error         // a failure of the interceptor

	dev    *os.File // received
	nfds   int
	bytes  []byte
	result helpertest.Result
	script error // a failure of the test
}

// do makes a run and leaves its results in place.
func (w *world) do(at spot, f *fault) *run {
	r := &run{world: w, at: at, fault: f, counts: map[spot]int{}, creating: make(chan struct{})}
	if r.script = w.reset(); r.script != nil {
		return r
	}
	ctx, cancel := context.WithTimeout(context.Background(), fusetest.Patience)
	defer cancel()
	p, err := r.call().Start(ctx)
	if err != nil {
		r.script = err
		return r
	}
	if w.mode.talk != nil {
		r.script = w.mode.talk(r, p)
	}
	r.result = p.Wait()
	r.take(r.result.Received)
	r.script = errors.Join(r.script, r.result.Err, r.blind)
	return r
}

func (r *run) call() helpertest.Call {
	m := r.world.mode
	call := r.world.call(m.args...)
	if m.alone {
		call.Args = m.args
	}
	call.Socket, call.HangUp, call.Deny = m.call.Socket, m.call.HangUp, m.call.Deny
	call.Env = environment
	call.Intercept, call.InterceptNot = r.decide, m.hides()
	if !m.start {
		call.InterceptFrom = from
	}
	return call
}

// call is alice's call of the helper.
func (w *world) call(args ...string) helpertest.Call {
	return helpertest.Call{Prog: w.program, UID: alice, GID: alice, Dir: "/", Args: append(slices.Clone(args), w.m)}
}

// decide is asked before each system call.
func (r *run) decide(s helpertest.Syscall) helpertest.Verdict {
	now := spot{child: s.Child, name: s.Name}
	r.counts[now]++
	now.nth = r.counts[spot{child: s.Child, name: s.Name}]
	r.calls = append(r.calls, now)
	if s.Child {
		if now.name == "fsconfig" && now.nth == 1 {
			close(r.creating)
		}
	} else {
		r.note(s)
	}
	if r.fault == nil || r.hit || now != r.at {
		return helpertest.Continue
	}
	r.hit = true
	r.send(s.PID)
	return r.fault.does
}

// send sends the fault's signal to the process that has stopped, or to its parent.
func (r *run) send(pid int) {
	sig := r.fault.signal
	if r.fault.parent {
		pid = r.pid
		if r.fault.kills {
			sig = unix.SIGKILL
		}
	}
	if sig != 0 {
		r.blind = os.NewSyscallError("kill", unix.Kill(pid, sig))
	}
}

// signalled reports whether the fault's signal has ended the helper.
func (r *run) signalled() bool {
	return r.hit && r.fault.signal != 0 && r.result.Signal == r.fault.signal
}

// note records how far the helper has come, and its privileges.
func (r *run) note(s helpertest.Syscall) {
	r.pid = s.PID
	r.waiting = r.waiting || r.world.mode.goal == watches && s.Name == "ppoll" && r.counts[spot{name: "dup3"}] > 0
	r.confined = r.confined || s.Name == "seccomp"
	// Reading /proc is slow: runs with a fault are only checked at their end.
	if r.confined && (s.Name == "exit_group" || r.fault == nil && !slices.Contains(bracketed, s.Name)) {
		r.checkPrivileges(s)
	}
}

// bracketed are the calls that are made with a privilege, and those that raise and drop
// it.
var bracketed = []string{
	"capset", "fsopen", "fsconfig", "fsmount", "move_mount", "mount", "umount2", "setfsuid", "setfsgid", "prctl",
	"rt_sigprocmask", "getpid", "clone", // to fork the child, which inherits the privilege
}

// checkPrivileges records a privilege that should be gone.
func (r *run) checkPrivileges(s helpertest.Syscall) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID))
	if err != nil {
		r.blind = err
		return
	}
	ended := s.Name == "exit_group" && s.Args[0] == 0 && r.world.mode.goal == mounts
	const none = "0000000000000000"
	permitted := "0000000000200000" // CAP_SYS_ADMIN
	if len(r.world.mode.tables()) > 0 {
		permitted = "00000000002000c0" // and CAP_SETUID, CAP_SETGID
	}
	if ended {
		permitted = none
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		bad := false
		switch name {
		case "CapEff":
			bad = value != none
		case "CapPrm": // sets of this few are in the order of their numbers
			bad = value > permitted
		case "Uid", "Gid": // those of file access are root's while a table is written
			bad = s.Name == "exit_group" && value != fmt.Sprintf("%[1]d\t%[1]d\t%[1]d\t%[1]d", alice)
		}
		if bad {
			r.retained = append(r.retained, fmt.Sprintf("%s %s at %v", name, value, s))
		}
	}
}

// String describes the run.
func (r *run) String() string {
	var b strings.Builder
	b.WriteString(r.world.mode.name)
	if r.fault != nil {
		fmt.Fprintf(&b, ": %s at %v", r.fault.name, r.at)
	}
	fmt.Fprintf(&b, "\nexit %d, signal %d, %d descriptors, %q, %q\n", r.result.Exit, r.result.Signal, r.nfds, r.bytes, r.result.Stderr)
	for i, c := range r.calls {
		if i > 0 && c == r.at {
			b.WriteString(">>> ")
		}
		if c.child {
			b.WriteString("child:")
		}
		b.WriteString(c.name + " ")
	}
	return b.String()
}
