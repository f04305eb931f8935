package priv

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// limits are those that a caller could choose so that the program comes as far as
// the mount and no farther: a table is torn in two, or the Go runtime, which ends
// the program on the spot then, gets no thread or no memory.
var limits = [...]int{unix.RLIMIT_FSIZE, unix.RLIMIT_NPROC, unix.RLIMIT_AS, unix.RLIMIT_DATA}

// resetLimits takes back what a caller may have set to have the program end in
// the middle of its work: limits, blocked signals, an odd umask. It runs while
// the process may still raise limits; where it may not, the soft limit is raised
// as far as it goes. SIGXFSZ stays blocked, so that a write beyond the limit
// fails instead of ending the process: the caller may lower the limit again at
// any time.
func resetLimits() error {
	for _, limit := range limits {
		hard, err := raise(limit)
		if err != nil {
			return fmt.Errorf("prlimit: %w", err)
		}
		if limit == unix.RLIMIT_NPROC && hard < fewProcesses {
			// Without rights this thread could start no others, and the runtime would
			// end the program. From now on one that keeps its rights starts them.
			runtime.LockOSThread()
		}
	}
	var mask unix.Sigset_t
	bits := 8 * int(sigsetWord)
	mask.Val[(int(unix.SIGXFSZ)-1)/bits] |= 1 << ((int(unix.SIGXFSZ) - 1) % bits)
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &mask, nil); err != nil {
		return fmt.Errorf("sigprocmask: %w", err)
	}
	unix.Umask(0o022)
	return nil
}

// fewProcesses is a number that somebody could reach who wants to. To start threads
// in the other way costs a tenth of the program's life.
const fewProcesses = 10_000

// raise raises a limit as far as it goes, and says how far.
func raise(limit int) (hard uint64, err error) {
	unlimited := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if unix.Prlimit(0, limit, &unlimited, nil) == nil {
		return unix.RLIM_INFINITY, nil
	}
	var now unix.Rlimit
	if err := unix.Prlimit(0, limit, nil, &now); err != nil {
		return 0, err
	}
	now.Cur = now.Max
	return now.Max, unix.Prlimit(0, limit, &now, nil)
}
