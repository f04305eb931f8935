package mtab

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mountopts"
	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// From linux/mount.h; x/sys has only the numbers of the calls.
const (
	statmountSbBasic   = 0x1
	statmountMntBasic  = 0x2
	statmountMntPoint  = 0x10
	statmountFsType    = 0x20
	statmountMntOpts   = 0x80
	statmountFsSubtype = 0x100
	statmountSbSource  = 0x200

	// Without these an answer is of no use, and mountinfo is read instead.
	statmountNeeded = statmountSbBasic | statmountMntBasic | statmountFsType
	statmountWanted = statmountNeeded | statmountMntPoint | statmountMntOpts |
		statmountFsSubtype | statmountSbSource
)

// mntIDReq is struct mnt_id_req, second version.
type mntIDReq struct {
	size  uint32
	spare uint32
	mntID uint64
	param uint64
	ns    uint64 // Linux 6.11
}

const firstVersion = uint32(unsafe.Offsetof(mntIDReq{}.ns)) // in bytes

// namespace is the mount namespace of which the table is asked for, and how; 0: that of the process.
var namespace struct {
	id    uint64
	raise func(call func() error) error
}

// Use makes this package ask for the table of another mount namespace, by its id of
// NS_GET_MNTNS_ID, for good. Its mounts cannot be reached from this process's root directory, so
// each question takes CAP_SYS_ADMIN, which raise has to give. mountinfo has nothing of it.
func Use(id uint64, raise func(call func() error) error) { namespace.id, namespace.raise = id, raise }

// Offsets in struct statmount; the strings begin behind its 512 bytes.
const (
	offMntOpts   = 4
	offMask      = 8
	offMajor     = 16
	offMinor     = 20
	offFsType    = 36
	offMntID     = 40
	offParentID  = 48
	offOldID     = 56
	offMntAttr   = 64
	offMntPoint  = 108
	offFsSubtype = 120
	offSbSource  = 124
	offStrings   = 512
)

// errIncomplete says that this kernel's statmount does not tell enough.
var errIncomplete = errors.New("statmount: the answer lacks needed fields")

// allMounts is the root of the whole namespace (LSMT_ROOT).
const allMounts = ^uint64(0)

// statmount asks the kernel for the mount with this unique id. It asks no daemon.
func statmount(id, want uint64) (Entry, error) {
	var space [2048]byte // on the stack
	for buf := space[:]; ; buf = make([]byte, 4*len(buf)) {
		_, err := callByID(unix.SYS_STATMOUNT, id, want, unsafe.Pointer(&buf[0]), len(buf))
		if err == nil {
			return decodeStatmount(buf, want)
		}
		if !errors.Is(err, unix.EOVERFLOW) || len(buf) > 1<<20 {
			return Entry{}, err
		}
	}
}

// callByID makes statmount(2) or listmount(2), again if a signal interrupts it.
func callByID(trap uintptr, id, param uint64, buf unsafe.Pointer, size int) (int, error) {
	if namespace.id != 0 {
		const idBytes = 8
		bytes := size
		if trap == unix.SYS_LISTMOUNT { // its size is a number of ids
			bytes *= idBytes
		}
		answer := make([]uint64, (bytes+idBytes-1)/idBytes) // it is copied, so that buf can lie on the stack
		n, err := callElsewhere(trap, id, param, unsafe.Pointer(&answer[0]), size)
		copy(unsafe.Slice((*byte)(buf), bytes), unsafe.Slice((*byte)(unsafe.Pointer(&answer[0])), bytes))
		return n, err
	}
	return call(trap, &mntIDReq{size: firstVersion, mntID: id, param: param}, buf, size)
}

// callElsewhere is callByID for the namespace of Use.
func callElsewhere(trap uintptr, id, param uint64, answer unsafe.Pointer, size int) (n int, err error) {
	req := mntIDReq{mntID: id, param: param, ns: namespace.id}
	req.size = uint32(unsafe.Sizeof(req))
	err = namespace.raise(func() (err error) {
		n, err = call(trap, &req, answer, size)
		return err
	})
	return n, err
}

func call(trap uintptr, req *mntIDReq, buf unsafe.Pointer, size int) (int, error) {
	for {
		n, _, errno := unix.Syscall6(trap, uintptr(unsafe.Pointer(req)), uintptr(buf), uintptr(size), 0, 0, 0)
		if errno == 0 {
			return int(n), nil
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

func decodeStatmount(buf []byte, want uint64) (Entry, error) {
	ne := binary.NativeEndian
	mask := ne.Uint64(buf[offMask:])
	if mask&statmountNeeded != statmountNeeded {
		return Entry{}, errIncomplete
	}
	attr := ne.Uint64(buf[offMntAttr:])
	e := Entry{
		ID:           ne.Uint64(buf[offMntID:]),
		Parent:       ne.Uint64(buf[offParentID:]),
		Unique:       true,
		OldID:        uint64(ne.Uint32(buf[offOldID:])),
		Major:        ne.Uint32(buf[offMajor:]),
		Minor:        ne.Uint32(buf[offMinor:]),
		Mountpoint:   textOf(buf, statmountMntPoint, offMntPoint),
		Type:         textOf(buf, statmountFsType, offFsType),
		Source:       textOf(buf, statmountSbSource, offSbSource),
		NoSuid:       attr&unix.MOUNT_ATTR_NOSUID != 0,
		NoDev:        attr&unix.MOUNT_ATTR_NODEV != 0,
		SuperOptions: textOf(buf, statmountMntOpts, offMntOpts),
	}
	if mountopts.IsFuse(e.Type) && want&^mask&statmountMntOpts != 0 {
		return Entry{}, errIncomplete // a FUSE mount always has an owner
	}
	if subtype := textOf(buf, statmountFsSubtype, offFsSubtype); subtype != "" {
		e.Type += "." + subtype
	}
	return e, nil
}

// textOf reads a string of an answer, empty where the answer has none.
func textOf(buf []byte, bit uint64, at int) string {
	ne := binary.NativeEndian
	if ne.Uint64(buf[offMask:])&bit == 0 {
		return ""
	}
	start := offStrings + uint64(ne.Uint32(buf[at:]))
	if start >= uint64(len(buf)) {
		return ""
	}
	s, _, _ := bytes.Cut(buf[start:], []byte{0})
	return string(s)
}

// listmount gives the unique ids of all mounts below one.
func listmount(id uint64) (all []uint64, err error) {
	var ids [256]uint64
	for last := uint64(0); ; last = ids[len(ids)-1] {
		n, err := callByID(unix.SYS_LISTMOUNT, id, last, unsafe.Pointer(&ids), len(ids))
		if err != nil {
			return nil, err
		}
		all = append(all, ids[:n]...)
		if n < len(ids) {
			return all, nil
		}
	}
}

// statmounts asks for all mounts below one.
func statmounts(id, want uint64) (all []Entry, err error) {
	ids, err := listmount(id)
	if err != nil {
		return nil, fmt.Errorf("listmount: %w", err)
	}
	for _, id := range ids {
		e, err := statmount(id, want)
		if errors.Is(err, unix.ENOENT) { // unmounted meanwhile
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("statmount: %w", err)
		}
		all = append(all, e)
	}
	return all, nil
}

// FuseByID gives the FUSE mounts of this namespace by their unique ids, in brief: names,
// options and subtypes are left out. It looks at every mount.
func FuseByID() ([]Entry, error) {
	all, err := statmounts(allMounts, statmountNeeded)
	return slices.DeleteFunc(all, func(e Entry) bool { return !mountopts.IsFuse(e.Type) }), err
}

// askNothing is the statx mask that FUSE answers to anybody: the kernel adds the old
// mount id and the attributes of the mount by itself.
const askNothing = 0

// errNoUniqueID says that this kernel knows no unique ids (before Linux 6.8).
var errNoUniqueID = errors.New("no unique mount id")

// UniqueID gives the unique id of the mount in which a name relative to fd lies, and whether it
// is that mount's root, also where the id is not known. Where the kernel does not tell, isRoot is
// true: umount2 refuses what is not a root anyway. AT_STATX_DONT_SYNC answers from what the
// kernel knows, without asking the daemon, which may hang.
func UniqueID(fd int, name string, flags int) (id uint64, isRoot bool, err error) {
	flags |= unix.AT_STATX_DONT_SYNC
	var st unix.Statx_t
	err = unix.Statx(fd, name, flags, unix.STATX_MNT_ID_UNIQUE, &st)
	if err == nil {
		if st.Mask&unix.STATX_MNT_ID_UNIQUE == 0 { // the answer has the other id
			err = errNoUniqueID
		}
		return st.Mnt_id, attrRoot(st), err
	}
	// FUSE refuses stat to all but the mount's owner, even to root. A file handle has the id, too.
	isRoot = unix.Statx(fd, name, flags, askNothing, &st) != nil || attrRoot(st)
	if n, err := handleMountID(fd, name, flags&unix.AT_EMPTY_PATH); err == nil {
		return n, isRoot, nil
	}
	return 0, isRoot, err
}

// attrRoot reads STATX_ATTR_MOUNT_ROOT; a kernel before 5.8 does not tell.
func attrRoot(st unix.Statx_t) bool {
	return st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT == 0 || st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}

// fileHandle is struct file_handle (linux/fs.h).
type fileHandle struct {
	bytes uint32
	kind  int32
	data  [128]byte // MAX_HANDLE_SZ
}

func handleMountID(fd int, name string, flags int) (id uint64, err error) {
	const handleFID, mntIDUnique = 0x200, 0x001 // AT_* of linux/fcntl.h (6.12)
	path, err := unix.BytePtrFromString(name)
	if err != nil {
		return 0, err
	}
	var handle fileHandle
	handle.bytes = uint32(len(handle.data))
	_, _, errno := unix.Syscall6(unix.SYS_NAME_TO_HANDLE_AT, uintptr(fd), uintptr(unsafe.Pointer(path)),
		uintptr(unsafe.Pointer(&handle)), uintptr(unsafe.Pointer(&id)), uintptr(flags|handleFID|mntIDUnique), 0)
	if errno != 0 {
		return 0, errno
	}
	return id, nil
}

// OldID gives the id that mountinfo and utab use of the mount in which fd lies.
func OldID(fd int) (uint64, error) {
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, askNothing, &st)
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

// CountMounts gives the number of all mounts in this namespace, where the kernel lists them by id.
func CountMounts() (n int, ok bool) {
	ids, err := listmount(allMounts)
	return len(ids), err == nil
}
