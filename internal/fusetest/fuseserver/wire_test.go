package fuseserver

import (
	"bytes"
	"encoding/binary"
	"testing"
	"unsafe"
)

// The sizes are the same on every architecture, whatever Go's own alignment is.
func TestWireSizes(t *testing.T) {
	for name, c := range map[string]struct {
		value any
		size  int
	}{
		"fuse_in_header":  {inHeader{}, 40},
		"fuse_out_header": {outHeader{}, 16},
		"fuse_attr":       {wireAttr{}, 88},
		"fuse_entry_out":  {entryOut{}, 128},
		"fuse_attr_out":   {attrOut{}, 104},
		"fuse_init_in":    {initIn{}, 16},
		"fuse_init_out":   {initOut{}, 64},
		"fuse_open_out":   {openOut{}, 16},
		"fuse_read_in":    {readIn{}, 40},
		"fuse_statfs_out": {statfsOut{}, 80},
		"fuse_dirent":     {direntHeader{}, 24},
	} {
		if got := len(encode(nil, c.value)); got != c.size || binary.Size(c.value) != c.size {
			t.Errorf("%s has %d bytes, want %d", name, got, c.size)
		}
	}
}

// The kernel writes numbers as its machine has them in memory.
func TestWireByteOrder(t *testing.T) {
	length := uint32(0x01020304)
	native := (*[4]byte)(unsafe.Pointer(&length))[:]
	wire := encode(nil, outHeader{Len: length, Error: -5, Unique: 7})
	if !bytes.Equal(wire[:4], native) {
		t.Errorf("the length is % x, want % x", wire[:4], native)
	}
	var back outHeader
	if rest, ok := decode(wire, &back); !ok || len(rest) != 0 || back != (outHeader{Len: length, Error: -5, Unique: 7}) {
		t.Errorf("read back: %+v", back)
	}
}
