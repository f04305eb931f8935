package priv

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// resetLimits takes back what a caller may have set to tear a table in two: a
// file size limit, blocked signals, an odd umask. It runs while the process may
// still raise limits; where it may not, the soft limit is raised as far as it
// goes. SIGXFSZ stays blocked, so that a write beyond the limit fails instead
// of ending the process: the caller may lower the limit again at any time.
func resetLimits() error {
	unlimited := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if err := unix.Prlimit(0, unix.RLIMIT_FSIZE, &unlimited, nil); err != nil {
		var now unix.Rlimit
		if err := unix.Prlimit(0, unix.RLIMIT_FSIZE, nil, &now); err != nil {
			return fmt.Errorf("prlimit: %w", err)
		}
		now.Cur = now.Max
		if err := unix.Prlimit(0, unix.RLIMIT_FSIZE, &now, nil); err != nil {
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
