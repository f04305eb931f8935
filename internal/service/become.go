//go:build linux

package service

import (
	"fmt"
	"os"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/entry"
	"github.com/go-fusermount/fusermount/internal/mount"
	"github.com/go-fusermount/fusermount/internal/policy"
	"github.com/go-fusermount/fusermount/internal/priv"
)

// nobody is the user that the other threads of a worker are, and its main thread until it has a
// client. It is the kernel's overflow id, which owns nothing.
const nobody = 65534

// needed are the capabilities of a worker that waits for its client.
const needed = priv.SysAdmin | priv.SysPtrace | priv.SetUID | priv.SetGID | 1<<unix.CAP_SYS_CHROOT

// prepare takes from a worker, before it has a client, what it does not need. Its threads become
// nobody, without any capability, for good; the main thread, which has to call this, keeps those that
// are needed. No exec can regain any. That is done now since each of these calls reaches the other
// threads by a signal, for which a client could leave no room (RLIMIT_SIGPENDING), and takes time.
//
// control is the root of fusectl, or -1.
func prepare() (control int, err error) {
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil { // of this thread alone
		return -1, os.NewSyscallError("prctl PR_SET_KEEPCAPS", err)
	}
	for _, step := range []struct {
		name          string
		trap, a, b, c uintptr
	}{
		{"prctl PR_SET_NO_NEW_PRIVS", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0},
		{"prctl PR_CAP_AMBIENT", unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0},
		{"setgroups", entry.Setgroups, 0, 0, 0},
		{"setresgid", entry.Setresgid, nobody, nobody, nobody},
		{"setresuid", entry.Setresuid, nobody, nobody, nobody},
	} {
		if _, _, errno := syscall.AllThreadsSyscall6(step.trap, step.a, step.b, step.c, 0, 0, 0); errno != 0 {
			return -1, fmt.Errorf("%s: %w", step.name, errno)
		}
	}
	control, _ = mount.OpenControl() // only a mount needs it, and then it is an error
	if err := setCapabilities(needed); err != nil {
		return -1, err
	}
	return control, priv.RestrictOthers(false) // which verifies it
}

// setCapabilities makes exactly these permitted and effective.
func setCapabilities(set priv.Set) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{{Effective: uint32(set), Permitted: uint32(set)}}
	if err := unix.Capset(&header, &data[0]); err != nil {
		return os.NewSyscallError("capset", err)
	}
	return nil
}

// untraceable is an error where users could get into a worker, and so have its capabilities: while it
// changes its ids, and through its other threads, which are nobody's.
func untraceable() error {
	if !priv.Traceable() {
		return nil
	}
	return &policy.Refusal{
		Reason: "fs.suid_dumpable is 1, or cannot be read: users could trace the mount service",
		Advice: "the administrator has to set it to 0 or 2 (sysctl)",
	}
}

// become makes the main thread, which has to call it, the client: it has these ids and groups, can
// raise CAP_SYS_ADMIN, and has no capability effective. Nothing of the client's was looked at before.
// After an error the process has to end.
func become(uid, gid uint32, groups []uint32) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot become the client: %w", err)
		}
	}()
	groups = slices.Clone(groups)
	var first unsafe.Pointer
	if len(groups) > 0 {
		first = unsafe.Pointer(&groups[0])
	}
	for _, step := range []struct {
		name          string
		trap, a, b, c uintptr
	}{
		{"setgroups", entry.Setgroups, uintptr(len(groups)), uintptr(first), 0},
		{"setresgid", entry.Setresgid, uintptr(gid), uintptr(gid), uintptr(gid)},
		{"setresuid", entry.Setresuid, uintptr(uid), uintptr(uid), uintptr(uid)},
	} {
		if _, _, errno := unix.RawSyscall(step.trap, step.a, step.b, step.c); errno != 0 {
			return fmt.Errorf("%s: %w", step.name, errno)
		}
	}
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 0, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl PR_SET_KEEPCAPS", err)
	}
	if err := priv.Shed(priv.SysAdmin); err != nil { // verified, and not effective
		return err
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl PR_SET_DUMPABLE", err)
	}
	now, err := priv.Current()
	want := priv.State{RUID: uid, EUID: uid, SUID: uid, RGID: gid, EGID: gid, SGID: gid, Permitted: priv.SysAdmin}
	if err == nil && now != want {
		err = fmt.Errorf("the kernel kept %+v", now)
	}
	return err
}
