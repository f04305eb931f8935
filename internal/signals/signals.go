// Package signals makes a process deaf to signals.
package signals

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/entry"
)

// lastSignal is the highest signal number on any architecture (mips).
const lastSignal = 127

// Ignore ignores every signal that can be. A signal to the process may
// be taken by any thread of the Go runtime, whose masks are not ours; so it is
// not enough to block it here. os/signal knows no way to ignore the signals
// that it takes for faults of the program.
func Ignore() error {
	action := newSigaction(1, 0, 0) // SIG_IGN
	for sig := uintptr(1); sig <= lastSignal; sig++ {
		_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&action)), 0, sigsetSize, 0, 0)
		if errno != 0 && errno != unix.EINVAL { // EINVAL: SIGKILL, SIGSTOP, or no signal here
			return fmt.Errorf("rt_sigaction: %w", errno)
		}
	}
	var all unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, nil); err != nil {
		return fmt.Errorf("sigprocmask: %w", err)
	}
	return nil
}

// Flags of sigaction(2), the same on every architecture that has a restorer.
const (
	saSiginfo  = 4
	saRestorer = 0x04000000
	saOnstack  = 0x08000000
	saRestart  = 0x10000000
)

// Catch has a handler of package entry called for a signal, on whatever thread.
func Catch(sig unix.Signal, handler uintptr) error {
	flags := uintptr(saOnstack | saRestart)
	if entry.Sigreturn() != 0 {
		flags |= saRestorer | saSiginfo
	}
	action := newSigaction(handler, flags, entry.Sigreturn())
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&action)), 0, sigsetSize, 0, 0)
	if errno != 0 {
		return fmt.Errorf("rt_sigaction: %w", errno)
	}
	return nil
}
