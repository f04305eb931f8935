// Package signals decides which signals end the process, and when.
//
// The Go runtime catches most signals, and a caught signal does not end a wait for a FUSE daemon
// in the kernel: only a fatal one does. So the signals by which people and service managers end a
// program get their default action back, and are ignored only while something is half done.
//
// Blocking them meanwhile would not do: each thread of the runtime unblocks SIGHUP,
// SIGINT and SIGTERM when it starts, and a fatal signal needs only one thread.
package signals

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/entry"
)

// ending are the signals that end the process. Those that dump core (SIGQUIT, SIGABRT)
// end no wait in the kernel, but the process after it.
var ending = [...]unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGABRT, unix.SIGALRM, unix.SIGTERM}

var (
	ours []unix.Signal // of ending, those that the caller does not ignore
	held bool
)

// Default gives the signals that end the process their default action. SIGHUP and SIGINT stay
// ignored where the caller ignores them; of the others the Go runtime no longer knows.
func Default() error {
	ours = make([]unix.Signal, 0, len(ending))
	for _, sig := range ending {
		now, err := handlerOf(sig)
		if err != nil {
			return err
		}
		if now == ignore {
			continue
		}
		if err := setHandler(sig, byDefault); err != nil {
			return err
		}
		ours = append(ours, sig)
	}
	return nil
}

// Held says whether signals are held.
func Held() bool { return held }

// Hold keeps signals from ending the process until [Release]. Those that arrive in
// between are lost. Nothing may be done meanwhile that can wait for a daemon.
func Hold() error {
	if held {
		return nil
	}
	if err := setOurs(ignore); err != nil {
		return errors.Join(err, setOurs(byDefault))
	}
	held = true
	return nil
}

// Release lets signals end the process again.
func Release() error {
	if !held {
		return nil
	}
	if err := setOurs(byDefault); err != nil {
		return err
	}
	held = false
	return nil
}

// Through lets signals end the process while f runs, which may wait for a daemon.
func Through(f func() error) error {
	if !held {
		return f()
	}
	if err := Release(); err != nil {
		return err
	}
	err := f()
	_ = Hold() // f is done, and its result counts
	return err
}

// Ignore ignores every signal that can be ignored, for good. os/signal cannot ignore
// those that it takes for faults of the program.
func Ignore() error {
	const last = 127 // on any architecture (mips)
	for sig := unix.Signal(1); sig <= last; sig++ {
		err := setHandler(sig, ignore)
		if err != nil && !errors.Is(err, unix.EINVAL) { // SIGKILL, SIGSTOP, or no signal here
			return err
		}
	}
	held = false
	_, err := MaskAll()
	return err
}

// Catch installs a handler of package entry for a signal, on whatever thread.
func Catch(sig unix.Signal, handler uintptr) error {
	// Flags of sigaction(2), the same on every architecture that has a restorer.
	const (
		siginfo  = 4
		restorer = 0x04000000
		onstack  = 0x08000000
		restart  = 0x10000000
	)
	flags := uintptr(onstack | restart)
	if entry.Sigreturn() != 0 {
		flags |= restorer | siginfo
	}
	action := newSigaction(handler, flags, entry.Sigreturn())
	return rtSigaction(sig, &action, nil)
}

// Mask changes the calling thread's signal mask by one signal; how is that of sigprocmask(2).
func Mask(how int, sig unix.Signal) error {
	var set unix.Sigset_t
	bits := 8 * int(unsafe.Sizeof(set.Val[0]))
	set.Val[(int(sig)-1)/bits] |= 1 << ((int(sig) - 1) % bits)
	return mask(how, &set, nil)
}

// MaskAll blocks all signals on the calling thread, and gives the mask from before.
func MaskAll() (old unix.Sigset_t, err error) {
	var every unix.Sigset_t
	for i := range every.Val {
		every.Val[i] = ^every.Val[i]
	}
	err = mask(unix.SIG_SETMASK, &every, &old)
	return old, err
}

func mask(how int, set, old *unix.Sigset_t) error {
	if err := unix.PthreadSigmask(how, set, old); err != nil {
		return fmt.Errorf("sigprocmask: %w", err)
	}
	return nil
}

// The actions that have no handler (asm-generic/signal-defs.h).
const (
	byDefault uintptr = 0 // SIG_DFL
	ignore    uintptr = 1 // SIG_IGN
)

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

func setOurs(handler uintptr) error {
	for _, sig := range ours {
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
