package mtab

import (
	"errors"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// mountID is a mount's id as one of the kernel's interfaces gives it.
type mountID struct {
	n      uint64
	unique bool
}

// dontAsk are the flags with which statx answers from what the kernel knows,
// without asking the daemon of a FUSE mount: it may hang, or be dead.
const dontAsk = unix.AT_EMPTY_PATH | unix.AT_STATX_DONT_SYNC

// byName are those for a path, of which nothing is followed or mounted.
const byName = unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT

// askNothing is the statx mask that FUSE answers to anybody: the kernel adds the
// old mount id and the attributes of the mount by itself.
const askNothing = 0

// From linux/fcntl.h (6.12).
const (
	atHandleFID         = 0x200
	atHandleMntIDUnique = 0x001
)

// uniqueID gives the unique id of the mount in which fd lies, and whether fd
// is that mount's root. Where the kernel does not let us know, isRoot is true:
// umount2 refuses what is not a root anyway.
func uniqueID(fd int) (id mountID, isRoot bool, err error) {
	return uniqueIDAt(fd, "", unix.AT_EMPTY_PATH)
}

// uniqueIDAt is uniqueID for a name relative to fd, with the flags byName.
func uniqueIDAt(fd int, name string, flags int) (id mountID, isRoot bool, err error) {
	flags |= unix.AT_STATX_DONT_SYNC
	var st unix.Statx_t
	err = unix.Statx(fd, name, flags, unix.STATX_MNT_ID_UNIQUE, &st)
	if err == nil {
		// A kernel that does not know the bit answers with the other id.
		unique := st.Mask&unix.STATX_MNT_ID_UNIQUE != 0
		return mountID{n: st.Mnt_id, unique: unique}, attrRoot(st), nil
	}
	// FUSE refuses stat to all but the mount's owner, even to root. A handle
	// that is never opened again carries the id, too.
	isRoot = unix.Statx(fd, name, flags, askNothing, &st) != nil || attrRoot(st)
	if n, err := handleMountID(fd, name, flags&unix.AT_EMPTY_PATH); err == nil {
		return mountID{n: n, unique: true}, isRoot, nil
	}
	return mountID{}, isRoot, err
}

// attrRoot reads STATX_ATTR_MOUNT_ROOT; a kernel before 5.8 does not say.
func attrRoot(st unix.Statx_t) bool {
	return st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT == 0 || st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}

// fileHandle is struct file_handle (linux/fs.h).
type fileHandle struct {
	bytes uint32
	kind  int32
	data  [128]byte // MAX_HANDLE_SZ
}

func handleMountID(fd int, name string, flags int) (uint64, error) {
	path, err := unix.BytePtrFromString(name)
	if err != nil {
		return 0, err
	}
	var handle fileHandle
	handle.bytes = uint32(len(handle.data))
	var id uint64
	_, _, errno := unix.Syscall6(unix.SYS_NAME_TO_HANDLE_AT, uintptr(fd), uintptr(unsafe.Pointer(path)),
		uintptr(unsafe.Pointer(&handle)), uintptr(unsafe.Pointer(&id)),
		uintptr(flags|atHandleFID|atHandleMntIDUnique), 0)
	if errno != 0 {
		return 0, errno
	}
	return id, nil
}

// OldID gives the id of the mount in which fd lies that mountinfo and utab use.
func OldID(fd int) (uint64, error) {
	var st unix.Statx_t
	err := unix.Statx(fd, "", dontAsk, askNothing, &st)
	if err == nil && st.Mask&unix.STATX_MNT_ID != 0 {
		return st.Mnt_id, nil
	}
	text, err := rawfile.Text("/proc/self/fdinfo/" + strconv.Itoa(fd))
	if err != nil {
		return 0, err
	}
	for line := range strings.SplitSeq(text, "\n") {
		if value, found := strings.CutPrefix(line, "mnt_id:"); found {
			return strconv.ParseUint(strings.TrimSpace(value), 10, 64)
		}
	}
	return 0, errors.New("no mnt_id in fdinfo")
}

// SameMount says whether two descriptors lie in one mount.
func SameMount(a, b int) (bool, error) {
	one, _, err := uniqueID(a)
	if err == nil && one.unique {
		other, _, err := uniqueID(b)
		return one == other, err
	}
	old, err := OldID(a)
	if err != nil {
		return false, err
	}
	other, err := OldID(b)
	return old == other, err
}
