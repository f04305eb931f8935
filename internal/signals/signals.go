// Package signals decides which signals end the process, and when.
//
// The Go runtime catches most signals. A signal that is caught does not end a wait
// for a FUSE daemon in the kernel: only one with its default action does, since that
// is fatal. So the signals by which people and service managers end a program get
// their default action back, and are ignored only while something is half done.
//
// They can not be blocked meanwhile and delivered later: each thread of the runtime
// lets SIGHUP, SIGINT and SIGTERM through when it starts, whatever mask it inherits,
// and a fatal signal needs only one thread that takes it.
package signals

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/entry"
)

// ending are the signals that end the process. Those that dump core (SIGQUIT,
// SIGABRT) end no wait in the kernel, but the process when that has ended.
var ending = [...]unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGABRT, unix.SIGALRM, unix.SIGTERM}

var (
	ours []unix.Signal // of ending, those that the caller does not ignore
	held bool
)

// Default gives the signals that end the process their default action. SIGHUP and
// SIGINT stay ignored where the caller ignores them; of the others the Go runtime has
// forgotten it by now.
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

// Hold keeps signals from ending the process until [Release]. One that comes in
// between is lost: it came too late. So nothing may be done meanwhile that can wait
// for a daemon.
func Hold() error {
	if held {
		return nil
	}
	if err := all(ours, ignore); err != nil {
		return errors.Join(err, all(ours, byDefault))
	}
	held = true
	return nil
}

// Release lets signals end the process again.
func Release() error {
	if !held {
		return nil
	}
	if err := all(ours, byDefault); err != nil {
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
	_ = Hold() // f is done, and what it has found counts
	return err
}

// Ignore ignores every signal that can be, for good. os/signal knows no way to
// ignore the signals that it takes for faults of the program.
func Ignore() error {
	for sig := unix.Signal(1); sig <= lastSignal; sig++ {
		err := setHandler(sig, ignore)
		if err != nil && !errors.Is(err, unix.EINVAL) { // SIGKILL, SIGSTOP, or no signal here
			return err
		}
	}
	held = false
	var every unix.Sigset_t
	for i := range every.Val {
		every.Val[i] = ^every.Val[i]
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &every, nil); err != nil {
		return fmt.Errorf("sigprocmask: %w", err)
	}
	return nil
}

// Catch has a handler of package entry called for a signal, on whatever thread.
func Catch(sig unix.Signal, handler uintptr) error {
	flags := uintptr(saOnstack | saRestart)
	if entry.Sigreturn() != 0 {
		flags |= saRestorer | saSiginfo
	}
	action := newSigaction(handler, flags, entry.Sigreturn())
	return rtSigaction(sig, &action, nil)
}

// Block blocks a signal on the calling thread.
func Block(sig unix.Signal) error {
	var set unix.Sigset_t
	bits := 8 * int(unsafe.Sizeof(set.Val[0]))
	set.Val[(int(sig)-1)/bits] |= 1 << ((int(sig) - 1) % bits)
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil); err != nil {
		return fmt.Errorf("sigprocmask: %w", err)
	}
	return nil
}
