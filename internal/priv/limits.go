package priv

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// limits are those by which a caller could stop the program after the mount and
// before its end: a table would be torn in two, or the Go runtime, which then ends
// the program at once, would get no thread or no memory.
var limits = [...]int{unix.RLIMIT_FSIZE, unix.RLIMIT_NPROC, unix.RLIMIT_AS, unix.RLIMIT_DATA}

// resetLimits resets what a caller may have set to end the program in the middle of
// its work: limits, blocked signals, the umask. In a set-id process package entry
// has raised the hard limits, where it had CAP_SYS_RESOURCE; the rest is done here.
// SIGXFSZ stays blocked, so that a write beyond the limit fails instead of ending
// the process: the caller can lower the limit again at any time.
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

// raise raises a limit as far as it goes.
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
