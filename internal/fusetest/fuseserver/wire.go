package fuseserver

import (
	"bytes"
	"encoding/binary"
)

// The protocol's structs, field by field as fuse.h has them. All are padded
// there to 64 bits, so that encoding/binary, which pads nothing, gives the
// same bytes on every architecture.

type inHeader struct {
	Len, Opcode         uint32
	Unique, NodeID      uint64
	UID, GID, PID       uint32
	TotalExtlen, Unused uint16
}

type outHeader struct {
	Len    uint32
	Error  int32
	Unique uint64
}

type wireAttr struct {
	Ino, Size, Blocks               uint64
	Atime, Mtime, Ctime             uint64
	AtimeNsec, MtimeNsec, CtimeNsec uint32
	Mode, Nlink, UID, GID, Rdev     uint32
	Blksize, Flags                  uint32
}

type entryOut struct {
	NodeID, Generation         uint64
	EntryValid, AttrValid      uint64
	EntryValidNsec, AttrValidN uint32
	Attr                       wireAttr
}

type attrOut struct {
	AttrValid             uint64
	AttrValidNsec, Unused uint32
	Attr                  wireAttr
}

type initIn struct {
	Major, Minor, MaxReadahead, Flags uint32
}

type initOut struct {
	Major, Minor, MaxReadahead, Flags  uint32
	MaxBackground, CongestionThreshold uint16
	MaxWrite, TimeGran                 uint32
	MaxPages, MapAlignment             uint16
	Flags2                             uint32
	Unused                             [7]uint32
}

type openOut struct {
	Fh                uint64
	OpenFlags, Unused uint32
}

type readIn struct {
	Fh, Offset      uint64
	Size, ReadFlags uint32
	LockOwner       uint64
	Flags, Unused   uint32
}

type statfsOut struct {
	Blocks, Bfree, Bavail, Files, Ffree uint64
	Bsize, Namelen, Frsize, Unused      uint32
	Spare                               [6]uint32
}

type direntHeader struct {
	Ino, Off      uint64
	Namelen, Type uint32
}

const (
	protoMajor = 7
	protoMinor = 31 // the newest with an INIT reply that needs no flags2

	rootNode  = 1
	maxWrite  = 64 << 10
	readBytes = 128 << 10 // the kernel wants at least maxWrite and the headers
)

// encode appends the structs' bytes to b.
func encode(b []byte, values ...any) []byte {
	for _, v := range values {
		var err error
		if b, err = binary.Append(b, binary.NativeEndian, v); err != nil {
			panic("fusetest: wire struct of variable size: " + err.Error())
		}
	}
	return b
}

// decode reads a struct from the front of b and returns what follows it;
// false when b is too short.
func decode(b []byte, v any) ([]byte, bool) {
	n, err := binary.Decode(b, binary.NativeEndian, v)
	if err != nil {
		return nil, false
	}
	return b[n:], true
}

// cstring returns the bytes before the first NUL.
func cstring(b []byte) string {
	name, _, _ := bytes.Cut(b, []byte{0})
	return string(name)
}
