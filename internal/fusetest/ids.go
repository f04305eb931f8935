package fusetest

import (
	"os"

	"golang.org/x/sys/unix"
)

// AsUser runs fn on a thread of its own whose real, effective and saved ids
// are uid and gid and whose only group is gid, because the kernel lets nobody
// but its owner, not even root, look into a FUSE mount. Goroutines that fn
// starts are not of that user; programs that it starts are.
//
// Calls by number and for one thread: neither a user database nor the other
// threads are touched. The thread dies with the call. Inside a user namespace
// only its own ids can be had.
func AsUser(uid, gid uint32, fn func() error) error {
	t, err := NewThread(uid, gid, false)
	if err != nil {
		return err
	}
	defer t.Close()
	return t.Do(fn)
}

// setThreadIDs gives this thread all three ids and the groups. Without
// groups (a user namespace forbids them) these stay.
func setThreadIDs(uid, gid int, groups []int, noGroups bool) error {
	if !noGroups {
		if err := unix.Setgroups(groups); err != nil {
			return os.NewSyscallError("setgroups", err)
		}
	}
	// Not unix.Setresgid, which changes all threads of the process.
	if _, _, errno := unix.RawSyscall(sysSetresgid, uintptr(gid), uintptr(gid), uintptr(gid)); errno != 0 {
		return os.NewSyscallError("setresgid", errno)
	}
	if _, _, errno := unix.RawSyscall(sysSetresuid, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
		return os.NewSyscallError("setresuid", errno)
	}
	return nil
}

// onlySysAdmin leaves this thread CAP_SYS_ADMIN and nothing else.
func onlySysAdmin() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	bit := uint32(1) << unix.CAP_SYS_ADMIN
	data := [2]unix.CapUserData{{Effective: bit, Permitted: bit}}
	return os.NewSyscallError("capset", unix.Capset(&header, &data[0]))
}
