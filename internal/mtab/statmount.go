package mtab

import (
	"bytes"
	"encoding/binary"
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mountopts"
)

// From linux/mount.h; x/sys has the numbers of the calls only.
const (
	statmountSbBasic   = 0x1
	statmountMntBasic  = 0x2
	statmountMntPoint  = 0x10
	statmountFsType    = 0x20
	statmountMntOpts   = 0x80
	statmountFsSubtype = 0x100
	statmountSbSource  = 0x200

	// Without these an answer is of no use, and mountinfo is asked instead.
	statmountNeeded = statmountSbBasic | statmountMntBasic | statmountFsType
	statmountWanted = statmountNeeded | statmountMntPoint | statmountMntOpts |
		statmountFsSubtype | statmountSbSource
)

// mntIDReq is struct mnt_id_req, first version.
type mntIDReq struct {
	size  uint32
	spare uint32
	mntID uint64
	param uint64
}

// Offsets in struct statmount; the strings begin behind its 512 bytes.
const (
	offMntOpts   = 4
	offMask      = 8
	offMajor     = 16
	offMinor     = 20
	offFsType    = 36
	offMntID     = 40
	offParentID  = 48
	offMntAttr   = 64
	offMntPoint  = 108
	offFsSubtype = 120
	offSbSource  = 124
	offStrings   = 512
)

// errIncomplete says that this kernel's statmount does not tell enough.
var errIncomplete = errors.New("statmount: the answer lacks needed fields")

// allMounts stands for the root of the whole namespace (LSMT_ROOT).
const allMounts = ^uint64(0)

// statmount asks the kernel for the mount with this unique id. It never asks
// the daemon that serves it.
func statmount(id uint64) (Entry, error) {
	var space [2048]byte // on the stack
	for buf := space[:]; ; buf = make([]byte, 4*len(buf)) {
		err := statmountInto(buf, id, statmountWanted)
		if err == nil {
			return decodeStatmount(buf)
		}
		if !errors.Is(err, unix.EOVERFLOW) || len(buf) > 1<<20 {
			return Entry{}, err
		}
	}
}

func statmountInto(buf []byte, id, want uint64) error {
	req := mntIDReq{size: uint32(unsafe.Sizeof(mntIDReq{})), mntID: id, param: want}
	for {
		_, _, errno := unix.Syscall6(unix.SYS_STATMOUNT, uintptr(unsafe.Pointer(&req)),
			uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0, 0)
		if errno == 0 {
			return nil
		}
		if errno != unix.EINTR {
			return errno
		}
	}
}

func decodeStatmount(buf []byte) (Entry, error) {
	ne := binary.NativeEndian
	mask := ne.Uint64(buf[offMask:])
	if mask&statmountNeeded != statmountNeeded {
		return Entry{}, errIncomplete
	}
	text := func(bit uint64, at int) string { return textOf(buf, bit, at) }
	attr := ne.Uint64(buf[offMntAttr:])
	e := Entry{
		ID:           ne.Uint64(buf[offMntID:]),
		Parent:       ne.Uint64(buf[offParentID:]),
		Unique:       true,
		Major:        ne.Uint32(buf[offMajor:]),
		Minor:        ne.Uint32(buf[offMinor:]),
		Mountpoint:   text(statmountMntPoint, offMntPoint),
		Type:         text(statmountFsType, offFsType),
		Source:       text(statmountSbSource, offSbSource),
		NoSuid:       attr&unix.MOUNT_ATTR_NOSUID != 0,
		NoDev:        attr&unix.MOUNT_ATTR_NODEV != 0,
		SuperOptions: text(statmountMntOpts, offMntOpts),
	}
	if mountopts.IsFuse(e.Type) && mask&statmountMntOpts == 0 {
		return Entry{}, errIncomplete // a FUSE mount always has an owner
	}
	if subtype := text(statmountFsSubtype, offFsSubtype); subtype != "" {
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
func listmount(id uint64) ([]uint64, error) {
	var all []uint64
	var ids idSpace
	for last := uint64(0); ; last = all[len(all)-1] {
		n, err := listmountInto(&ids, id, last)
		if err != nil {
			return nil, err
		}
		all = append(all, ids[:n]...)
		if n < len(ids) {
			return all, nil
		}
	}
}

// idSpace takes ids in passing. It lies on the stack.
type idSpace [256]uint64

// listmountInto gives the ids that follow one, or the first ones.
func listmountInto(ids *idSpace, id, after uint64) (int, error) {
	req := mntIDReq{size: uint32(unsafe.Sizeof(mntIDReq{})), mntID: id, param: after}
	for {
		n, _, errno := unix.Syscall6(unix.SYS_LISTMOUNT, uintptr(unsafe.Pointer(&req)),
			uintptr(unsafe.Pointer(&ids[0])), uintptr(len(ids)), 0, 0, 0)
		if errno == 0 {
			return int(n), nil
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}
