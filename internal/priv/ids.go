package priv

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// ids reads real, effective and saved id with getresuid or getresgid.
func ids(trap uintptr) (r, e, s uint32, err error) {
	_, _, errno := unix.RawSyscall(trap,
		uintptr(unsafe.Pointer(&r)), uintptr(unsafe.Pointer(&e)), uintptr(unsafe.Pointer(&s)))
	if errno != 0 {
		return 0, 0, 0, errno
	}
	return r, e, s, nil
}

// setFSID sets the id that file access goes by, of this thread, and asks it
// back: the call itself never reports failure.
func setFSID(trap uintptr, id uint32) error {
	unix.RawSyscall(trap, uintptr(id), 0, 0)
	const ask = ^uintptr(0) // an invalid id changes nothing
	if now, _, _ := unix.RawSyscall(trap, ask, 0, 0); uint32(now) != id {
		return unix.EPERM
	}
	return nil
}
