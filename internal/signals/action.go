package signals

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The actions that have no handler (asm-generic/signal-defs.h).
const (
	byDefault uintptr = 0 // SIG_DFL
	ignore    uintptr = 1 // SIG_IGN
)

// Flags of sigaction(2), the same on every architecture that has a restorer.
const (
	saSiginfo  = 4
	saRestorer = 0x04000000
	saOnstack  = 0x08000000
	saRestart  = 0x10000000
)

// lastSignal is the highest signal number on any architecture (mips).
const lastSignal = 127

// handlerOf gives the handler of a signal, or one of the actions above.
func handlerOf(sig unix.Signal) (uintptr, error) {
	var now sigaction
	err := rtSigaction(sig, nil, &now)
	return now.handler, err
}

func setHandler(sig unix.Signal, handler uintptr) error {
	action := newSigaction(handler, 0, 0)
	return rtSigaction(sig, &action, nil)
}

func all(signals []unix.Signal, handler uintptr) error {
	for _, sig := range signals {
		if err := setHandler(sig, handler); err != nil {
			return err
		}
	}
	return nil
}

func rtSigaction(sig unix.Signal, set, old *sigaction) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig),
		uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(old)), sigsetSize, 0, 0)
	if errno != 0 {
		return fmt.Errorf("rt_sigaction: %w", errno)
	}
	return nil
}
