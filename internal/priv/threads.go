package priv

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/confine"
)

// RestrictOthers takes all capabilities but keep from the threads of the Go
// runtime, for a process that lives long. It needs no_new_privs.
//
// A process that is going to change the ids of file access has to keep one. While
// the dumpable flag is then what fs.suid_dumpable says, the caller could trace a
// thread that has no capability, and all threads share their memory.
//
// The runtime makes a system call in all threads or in none. So this thread's call
// is made to do nothing, by a seccomp filter of its own. Without seccomp the other
// threads keep what they have, which is no more than this one.
func RestrictOthers(keep Set) error {
	if err := onMainThread(); err != nil {
		return err
	}
	othersCaps = [2]unix.CapUserData{{Permitted: uint32(keep)}, {Permitted: uint32(keep >> 32)}}
	data := uintptr(unsafe.Pointer(&othersCaps))
	_, before, _, err := capget()
	if err != nil {
		return err
	}
	switch err := confine.Skip(unix.SYS_CAPSET, data); {
	case errors.Is(err, errors.ErrUnsupported):
		return nil
	case err != nil:
		return err
	}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&othersHeader)), data, 0)
	if errno != 0 {
		return fmt.Errorf("capset in all threads: %w", errno)
	}
	_, after, _, err := capget()
	if err == nil && after != before {
		err = fmt.Errorf("capset in all threads: this one has permitted %x, not %x", after, before)
	}
	return err
}

// Variables, because the stack of a goroutine may move.
var (
	othersHeader = unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	othersCaps   [2]unix.CapUserData
)
