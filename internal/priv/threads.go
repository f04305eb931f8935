package priv

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/entry"
	"github.com/go-fusermount/fusermount/internal/rawfile"
	"github.com/go-fusermount/fusermount/internal/signals"
)

// RestrictOthers takes all capabilities from the threads of the Go runtime, for a
// process that lives long, and reads that back. idsChange says that this thread is
// going to change the ids of file access.
//
// The dumpable flag is then, for a moment, what fs.suid_dumpable says. Where that is 1
// the caller could trace a thread without capabilities, and all threads share their
// memory. So the others keep CAP_SETUID and CAP_SETGID there.
//
// Each thread has to drop its own, so each gets a signal whose handler does that.
// (syscall.AllThreadsSyscall would do it on this thread as well, and would wait for
// ever where the caller's RLIMIT_SIGPENDING leaves no room for its signal.) Without
// /proc the threads are not known, and keep what they have, which is no more than
// this one has.
func RestrictOthers(idsChange bool) error {
	left := Set(0)
	if idsChange && mayBeTraced() {
		left = SetUID | SetGID
	}
	self, err := mainThread()
	if err != nil {
		return err
	}
	handler, ok := entry.Disarm(uint64(left))
	if !ok {
		return errors.New("no signal handler for this architecture")
	}
	// This thread is not to be disarmed, whoever sends the signal.
	if err := signals.Block(disarmSignal); err != nil {
		return err
	}
	if err := signals.Catch(disarmSignal, handler); err != nil {
		return err
	}
	for deadline, rounds := time.Now().Add(disarmTimeout), 0; ; rounds++ {
		tids, err := threadsAbove(left, self)
		if err != nil || len(tids) == 0 {
			return err
		}
		if rounds >= disarmRounds && time.Now().After(deadline) {
			return nil // as without /proc: an emulator has threads that run none of our code
		}
		for _, tid := range tids {
			if err := unix.Tgkill(self, tid, disarmSignal); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("tgkill: %w", err)
			}
		}
		_ = unix.Nanosleep(&unix.Timespec{Nsec: disarmPause}, nil) // shorter after a signal, no matter
	}
}

// mayBeTraced says whether a change of ids may make the process one that its user can
// trace.
func mayBeTraced() bool {
	text, err := rawfile.Text("/proc/sys/fs/suid_dumpable")
	return err != nil || strings.TrimSpace(text) == "1"
}

const (
	// disarmSignal is the one that no other thread of the runtime ever blocks. The
	// runtime preempts goroutines with it, which can be done without.
	disarmSignal  = unix.SIGURG
	disarmTimeout = time.Second
	// disarmRounds are tried in any case: the caller can stop the process meanwhile, and
	// time passes.
	disarmRounds = 1000
	disarmPause  = 20_000 // nanoseconds
)

// threadsAbove gives the threads but self that have more capabilities than left
// permitted.
func threadsAbove(left Set, self int) (above []int, err error) {
	tids, err := rawfile.Numbers("/proc/self/task")
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list threads: %w", err)
	}
	for _, tid := range tids {
		if tid == self {
			continue
		}
		_, permitted, _, err := capgetOf(tid)
		switch {
		case errors.Is(err, unix.ESRCH):
		case err != nil:
			return nil, err
		case permitted&^left != 0:
			above = append(above, tid)
		}
	}
	return above, nil
}
