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

const (
	// disarmSignal is the one that no thread of the runtime ever blocks. The runtime
	// preempts goroutines with it, which is not needed here.
	disarmSignal  = unix.SIGURG
	disarmTimeout = time.Second
	// disarmRounds are tried in any case: the caller can stop the process meanwhile, and
	// time passes.
	disarmRounds = 1000
	disarmPause  = 20_000 // nanoseconds
)

// RestrictOthers takes all capabilities from the threads of the Go runtime, and verifies
// that. idsChange says that this thread will change the ids of file access: where
// fs.suid_dumpable is 1, the process can then be traced for a moment through a thread
// without capabilities, so the others keep CAP_SETUID and CAP_SETGID.
//
// Each thread drops its own, in a signal handler. (syscall.AllThreadsSyscall would include
// this thread, and would wait for ever where RLIMIT_SIGPENDING leaves no room.) Without
// /proc the threads are unknown, and keep no more than this one has.
func RestrictOthers(idsChange bool) error {
	left := Set(0)
	if idsChange {
		text, err := rawfile.Text("/proc/sys/fs/suid_dumpable")
		if err != nil || strings.TrimSpace(text) == "1" {
			left = SetUID | SetGID
		}
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
	if err := signals.Mask(unix.SIG_BLOCK, disarmSignal); err != nil {
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
		_ = unix.Nanosleep(&unix.Timespec{Nsec: disarmPause}, nil) // a signal may shorten it
	}
}

// threadsAbove gives the other threads that have more capabilities permitted than left.
func threadsAbove(left Set, self int) (above []int, err error) {
	tids, err := rawfile.Numbers("/proc/self/task")
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("list threads: %w", err)
	}
	for _, tid := range tids {
		if tid == self {
			continue
		}
		_, permitted, _, err := capget(tid)
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
