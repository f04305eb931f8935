package mtab

import (
	"encoding/binary"
	"strings"
	"testing"
	"unsafe"
)

func TestParseLine(t *testing.T) {
	for line, want := range map[string]Entry{
		"64 43 0:39 / /home/u/m rw,nosuid,nodev,relatime shared:1 master:2 - fuse.sshfs host:/a\\040b rw,user_id=1000,group_id=100": {
			ID: 64, Parent: 43, Major: 0, Minor: 39, Mountpoint: "/home/u/m", Type: "fuse.sshfs", Source: "host:/a b",
			NoSuid: true, NoDev: true, Options: "rw,nosuid,nodev,relatime", SuperOptions: "rw,user_id=1000,group_id=100",
		},
		"1 1 8:1 / / rw - ext4 /dev/sda1 rw": {
			ID: 1, Parent: 1, Major: 8, Minor: 1, Mountpoint: "/", Type: "ext4", Source: "/dev/sda1", Options: "rw", SuperOptions: "rw",
		},
		"2 1 0:5 / /a\\011\\012\\134\\043x rw,nosuidx - fuse  rw,user_id=1": {
			ID: 2, Parent: 1, Minor: 5, Mountpoint: "/a\t\n\\#x", Type: "fuse", Options: "rw,nosuidx", SuperOptions: "rw,user_id=1",
		},
	} {
		got, err := parseLine(line)
		if err != nil || got != want {
			t.Errorf("parseLine(%q) = %+v, %v; want %+v", line, got, err, want)
		}
	}
	for _, line := range []string{
		"x", "1 2 3:4 / / rw", "1 2 3:4 / / - a b c", "1 2 3 / / rw - a b c", "x 2 3:4 / / rw - a b c",
		"1 2 3:x / / rw - a b c", "1 2 3:4 / / rw - a b", "-1 2 3:4 / / rw - a b c", "1 2 4294967296:4 / / rw - a b c",
	} {
		if got, err := parseLine(line); err == nil {
			t.Errorf("parseLine(%q) = %+v; want an error", line, got)
		}
	}
}

// Linux 6.12 answers without source and subtype. 6.10 answers without the options that
// name the owner, which is refused.
func TestDecodeStatmount(t *testing.T) {
	ne := binary.NativeEndian
	buf := make([]byte, offStrings+64)
	copy(buf[offStrings:], "fuse\x00user_id=7\x00/m\x00")
	ne.PutUint32(buf[offMntOpts:], 5)
	ne.PutUint32(buf[offMntPoint:], 15)
	ne.PutUint64(buf[offMntID:], 99)
	ne.PutUint32(buf[offOldID:], 9)
	const all = statmountNeeded | statmountMntOpts | statmountMntPoint
	ne.PutUint64(buf[offMask:], all)
	want := Entry{ID: 99, Unique: true, OldID: 9, Mountpoint: "/m", Type: "fuse", SuperOptions: "user_id=7"}
	if got, err := decodeStatmount(buf, statmountWanted); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for _, missing := range []uint64{statmountSbBasic, statmountMntBasic, statmountFsType, statmountMntOpts} {
		ne.PutUint64(buf[offMask:], all&^missing)
		if got, err := decodeStatmount(buf, statmountWanted); err == nil {
			t.Errorf("without %#x: %+v", missing, got)
		}
	}
	ne.PutUint64(buf[offMask:], all)
	ne.PutUint32(buf[offMntOpts:], 1<<31-1) // the kernel would never
	got, err := decodeStatmount(buf, statmountWanted)
	if _, ok := got.Owner(); ok {
		t.Errorf("an owner from beyond the answer: %+v, %v", got, err)
	}
}

func TestOwner(t *testing.T) {
	for options, want := range map[string]uint32{
		"rw,user_id=1000,group_id=0": 1000,
		"user_id=100":                100,
		"rw,user_id=4294967295":      4294967295,
	} {
		if got, ok := (Entry{SuperOptions: options}).Owner(); !ok || got != want {
			t.Errorf("Owner of %q = %d, %v; want %d", options, got, ok, want)
		}
	}
	for _, options := range []string{"", "rw", "user_id=", "user_id=-1", "user_id=1x", "user_id=4294967296", "xuser_id=1", "group_id=1"} {
		if got, ok := (Entry{SuperOptions: options}).Owner(); ok {
			t.Errorf("Owner of %q = %d; want none", options, got)
		}
	}
}

func TestEscape(t *testing.T) {
	for plain, want := range map[string]string{
		"": "", "a": "a", "a b": `a\040b`, "\t\n\\#": `\011\012\134\043`, "\xff,é": "\xff,é",
	} {
		if got := Escape(plain); got != want || Unescape(got) != plain {
			t.Errorf("Escape(%q) = %q, back %q; want %q", plain, got, Unescape(got), want)
		}
	}
	for text, want := range map[string]string{`\`: `\`, `\04`: `\04`, `\048`: `\048`, `\777`: `\777`, `\377`: "\xff", `x\\040`: `x\ `} {
		if got := Unescape(text); got != want {
			t.Errorf("Unescape(%q) = %q; want %q", text, got, want)
		}
	}
}

var record = Record{
	ID: 65, Source: "a b", Target: "/m\nx", Type: "fuse.s",
	Options: "rw,nosuid,nodev,user_id=1000,group_id=1000", Userspace: []string{"x-a", "x-b=c d"},
}

func TestUtab(t *testing.T) {
	const ours = "SRC=a\\040b TARGET=/m\\012x ROOT=/ ATTRS=fusermount.id=65 OPTS=x-a,x-b=c\\040d\n"
	const other = "SRC=tmpfs TARGET=/m\\012x ROOT=/ OPTS=x-other\n"
	if got := utabAdd(other, record); got != other+ours {
		t.Errorf("added: %q", got)
	}
	if got := utabAdd("no newline", record); got != "no newline\n"+ours {
		t.Errorf("added to an open line: %q", got)
	}
	if got := utabRemove(other+ours+other, record); got != other+other {
		t.Errorf("removed: %q", got)
	}
	for _, text := range []string{
		"", other, strings.Replace(ours, "id=65", "id=6", 1), strings.Replace(ours, "id=65", "id=656", 1), strings.Replace(ours, "/m", "/n", 1),
		strings.Replace(ours, " ATTRS=fusermount.id=65", "", 1), // root's, of the source that the caller chose
	} {
		if got := utabRemove(text, record); got != text {
			t.Errorf("removed from %q: %q", text, got)
		}
	}
}

func TestMtab(t *testing.T) {
	const ours = "a\\040b /m\\012x fuse.s rw,nosuid,nodev,user_id=1000,group_id=1000 0 0\n"
	const other = "tmpfs /m\\012x tmpfs rw 0 0\n"
	if got := mtabAdd(other, record); got != other+ours {
		t.Errorf("added: %q", got)
	}
	if got := mtabRemove(ours+other+ours+other, record); got != ours+other+other {
		t.Errorf("removed: %q", got)
	}
	for _, text := range []string{"", "\n\n", other, strings.Replace(ours, "=1000", "=100", 1), strings.Replace(ours, "fuse.s", "fuse.t", 1), "garbage"} {
		if got := mtabRemove(text, record); got != text {
			t.Errorf("removed from %q: %q", text, got)
		}
	}
}

// The kernel reads the request by its size, as its first version or its second.
func TestStatmountRequest(t *testing.T) {
	var req mntIDReq
	if size := unsafe.Sizeof(req); size != 32 || firstVersion != 24 {
		t.Errorf("struct mnt_id_req has %d bytes, and %d at first, want 32 and 24", size, firstVersion)
	}
	if id, param := unsafe.Offsetof(req.mntID), unsafe.Offsetof(req.param); id != 8 || param != 16 {
		t.Errorf("mnt_id at %d and param at %d, want 8 and 16", id, param)
	}
}

// The kernel writes behind the two numbers as many bytes as it was told of.
func TestFileHandle(t *testing.T) {
	var h fileHandle
	if kind, data := unsafe.Offsetof(h.kind), unsafe.Offsetof(h.data); kind != 4 || data != 8 {
		t.Errorf("handle_type at %d and f_handle at %d, want 4 and 8", kind, data)
	}
	if size := unsafe.Sizeof(h); size != 8+uintptr(len(h.data)) {
		t.Errorf("struct file_handle has %d bytes, and room for %d", size, len(h.data))
	}
}
