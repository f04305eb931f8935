package priv

import (
	"fmt"

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
		if err := raise(limit); err != nil {
			return fmt.Errorf("prlimit: %w", err)
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

func raise(limit int) error {
	unlimited := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if unix.Prlimit(0, limit, &unlimited, nil) == nil {
		return nil
	}
	var now unix.Rlimit
	if err := unix.Prlimit(0, limit, nil, &now); err != nil {
		return err
	}
	now.Cur = now.Max
	return unix.Prlimit(0, limit, &now, nil)
}
