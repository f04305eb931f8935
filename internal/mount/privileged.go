package mount

import (
	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/pathfd"
	"github.com/go-fusermount/fusermount/internal/priv"
	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// Every call that is made with more privileges than the caller has is in this file, with
// what must be true before. Each raises one capability for one system call.

// asAdmin makes one call with CAP_SYS_ADMIN, repeated if a signal interrupts it.
func asAdmin(call func() error) error {
	return priv.With(priv.SysAdmin, func() error { return rawfile.RetryEINTR(call) })
}

// get is asAdmin for a call with a result.
func get[T any](call func() (T, error)) (result T, err error) {
	err = asAdmin(func() (err error) {
		result, err = call()
		return err
	})
	return result, err
}

// fsopen: fstype is fuse, fuseblk or fusectl, never the caller's text. Nothing is
// mounted; the kernel may load the module of that name.
func fsopen(fstype string) (fd int, err error) {
	return get(func() (int, error) { return unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC) })
}

// fsconfigCreate: every value in the context came from a granted plan.
func fsconfigCreate(context int) error {
	return asAdmin(func() error { return unix.FsconfigCreate(context) })
}

// fsconfigCreateApart: as fsconfigCreate, in a child that makes this one call with the
// capability raised, and ends.
func fsconfigCreateApart(context int) (c child, err error) {
	return get(func() (child, error) { return forkCreate(context) })
}

// fsmount: the attributes came from a granted plan, with nosuid and nodev unless root
// took them off. The mount is not attached yet.
func fsmount(context, attributes int) (fd int, err error) {
	return get(func() (int, error) { return unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, attributes) })
}

// moveMount: at is the pinned descriptor that policy judged. No path takes part.
func moveMount(mount, at int) error {
	return asAdmin(func() error {
		return unix.MoveMount(mount, "", at, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	})
}

// mount: target is the pinned descriptor, as the current directory or below
// /proc/self/fd. The rest came from a granted plan.
func mount(source, target, fstype string, flags uintptr, data string) error {
	return asAdmin(func() error { return unix.Mount(source, target, fstype, flags, data) })
}

// umountName: the current directory is the pinned parent. What lies at name was judged
// by its mount id to be the caller's, and so were all mounts between it and the parent:
// if it is gone by now, what comes to light is the caller's, too.
func umountName(name string, flags int) error {
	return asAdmin(func() error { return unix.Unmount(name, unix.UMOUNT_NOFOLLOW|flags) })
}

// detachTop: fd is the root of the mount that was judged by its id, and nothing lay on top of
// it. A mount that is attached there at this moment goes instead; detaching would include it
// in any case.
func detachTop(fd int) error {
	return asAdmin(func() error { return unix.Unmount(pathfd.Link(fd), unix.MNT_DETACH) })
}

// RecordMount: the mount exists and was granted. mtab escapes its names; the files are
// opened as their owner, root, without any capability.
func RecordMount(r mtab.Record) error { return priv.AsFileOwner(func() error { return mtab.Add(r) }) }

// ForgetMount: the mount was judged to be the caller's, and is gone.
func ForgetMount(r mtab.Record) error {
	return priv.AsFileOwner(func() error { return mtab.Remove(r) })
}
