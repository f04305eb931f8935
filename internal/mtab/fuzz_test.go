package mtab

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// mangled writes a field of mountinfo as kernels do (fs/proc_namespace.c);
// those since 6.1 escape # as well.
func mangled(s string, hash bool) string {
	pairs := []string{" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`}
	if hash {
		pairs = append(pairs, "#", `\043`)
	}
	return strings.NewReplacer(pairs...).Replace(s)
}

// FuzzMountinfo writes the line of a mount whose names a user chose between two others:
// all three are read back, and no fourth.
func FuzzMountinfo(f *testing.F) {
	f.Add("", "m", "sshfs", "src", uint64(64), uint64(43), uint32(39), uint32(1000), true, true)
	f.Fuzz(func(t *testing.T, root, mountpoint, subtype, source string, id, parent uint64, minor, uid uint32, safe, hash bool) {
		root, mountpoint = "/"+root, "/"+mountpoint
		want := Entry{
			ID: id, Parent: parent, Minor: minor, Mountpoint: mountpoint, Type: "fuse." + subtype, Source: source,
			NoSuid: safe, NoDev: safe, SuperOptions: fmt.Sprintf("rw,user_id=%d,group_id=0", uid),
		}
		want.Options = map[bool]string{true: "rw,nosuid,nodev,relatime", false: "rw,relatime"}[safe]
		line := fmt.Sprintf("%d %d 0:%d %s %s %s shared:5 master:7 - fuse.%s %s %s", id, parent, minor,
			mangled(root, hash), mangled(mountpoint, hash), want.Options, mangled(subtype, hash), mangled(source, hash), want.SuperOptions)
		const before = "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
		const after = "\n22 21 0:5 / /proc rw - proc proc rw\n"
		var got []Entry
		err := each(before+line+after, "", func(e Entry) bool {
			got = append(got, e)
			return false
		})
		if err != nil || len(got) != 3 || got[0].ID != 21 || got[1] != want || got[2].ID != 22 {
			t.Fatalf("%q is read as %+v, %v; want %+v", line, got, err, want)
		}
		if owner, ok := got[1].Owner(); !ok || owner != uid {
			t.Fatalf("%q belongs to %d, %v", line, owner, ok)
		}
	})
}

// FuzzMountinfoText checks that any other text is refused, or read line by line.
func FuzzMountinfoText(f *testing.F) {
	f.Add("64 43 0:39 / /m rw,nosuid shared:1 - fuse.x src rw,user_id=1000\n")
	f.Fuzz(func(t *testing.T, text string) {
		lines := 0
		err := each(text, "", func(e Entry) bool {
			lines++
			if strings.ContainsRune(e.SuperOptions, '\n') || len(e.Mountpoint)+len(e.Type)+len(e.Source) > len(text) {
				t.Fatalf("%q gives %+v", text, e)
			}
			return false
		})
		if err == nil && lines != len(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })) {
			t.Fatalf("%d entries of %q", lines, text)
		}
	})
}

var firstOwner = regexp.MustCompile(`(?s)(?:^|,)user_id=([^,]*)`)

// FuzzOwner checks that an owner is a whole number (CVE-2021-3995).
func FuzzOwner(f *testing.F) {
	f.Add("rw,user_id=1000,group_id=100")
	f.Fuzz(func(t *testing.T, options string) {
		var want uint64
		ok := false
		if m := firstOwner.FindStringSubmatch(options); m != nil && regexp.MustCompile(`^[0-9]+$`).MatchString(m[1]) {
			n, err := strconv.ParseUint(m[1], 10, 32)
			want, ok = n, err == nil
		}
		if got, has := (Entry{SuperOptions: options}).Owner(); has != ok || (ok && uint64(got) != want) {
			t.Fatalf("owner of %q: %d, %v; want %d, %v", options, got, has, want, ok)
		}
	})
}

// FuzzStatmount checks that no answer is read beyond its end.
func FuzzStatmount(f *testing.F) {
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, answer []byte) {
		buf := make([]byte, max(offStrings, len(answer)))
		copy(buf, answer)
		e, err := decodeStatmount(buf, statmountWanted)
		mask := binary.NativeEndian.Uint64(buf[offMask:])
		if err == nil && mask&statmountNeeded != statmountNeeded {
			t.Fatalf("mask %#x: %+v", mask, e)
		}
		for _, s := range []string{e.Mountpoint, e.Type, e.Source, e.SuperOptions} {
			if len(s) > 2*len(buf) || strings.ContainsRune(s, 0) {
				t.Fatalf("mask %#x: %+v", mask, e)
			}
		}
	})
}

// FuzzStatmountNames writes the answer for a mount whose names a user chose.
func FuzzStatmountNames(f *testing.F) {
	f.Add("/m", "sshfs", "src", uint64(99), uint64(98), uint32(39), uint32(1000), true, false)
	f.Fuzz(func(t *testing.T, mountpoint, subtype, source string, id, parent uint64, minor, uid uint32, nosuid, nodev bool) {
		c := func(s string) string { return strings.ReplaceAll(s, "\x00", "") } // no name has one
		want := Entry{
			ID: id, Parent: parent, Unique: true, Major: 8, Minor: minor, Mountpoint: c(mountpoint), Type: "fuse", Source: c(source),
			NoSuid: nosuid, NoDev: nodev, SuperOptions: fmt.Sprintf("user_id=%d,group_id=0", uid),
		}
		a := answer{buf: make([]byte, offStrings)}
		a.text(statmountMntOpts, offMntOpts, want.SuperOptions)
		a.text(statmountFsType, offFsType, "fuse")
		a.text(statmountMntPoint, offMntPoint, want.Mountpoint)
		a.text(statmountSbSource, offSbSource, want.Source)
		if a.text(statmountFsSubtype, offFsSubtype, c(subtype)); c(subtype) != "" {
			want.Type += "." + c(subtype)
		}
		a.numbers(id, parent, minor, nosuid, nodev)
		if got, err := decodeStatmount(a.buf, statmountWanted); err != nil || got != want {
			t.Fatalf("%+v, %v; want %+v", got, err, want)
		}
	})
}

// answer is what statmount(2) gives.
type answer struct {
	buf  []byte
	mask uint64
}

func (a *answer) text(bit uint64, at int, s string) {
	binary.NativeEndian.PutUint32(a.buf[at:], uint32(len(a.buf)-offStrings))
	a.buf = append(append(a.buf, s...), 0)
	a.mask |= bit
}

func (a *answer) numbers(id, parent uint64, minor uint32, nosuid, nodev bool) {
	var attr uint64
	if nosuid {
		attr |= unix.MOUNT_ATTR_NOSUID
	}
	if nodev {
		attr |= unix.MOUNT_ATTR_NODEV
	}
	ne := binary.NativeEndian
	ne.PutUint64(a.buf[offMask:], a.mask|statmountNeeded)
	ne.PutUint64(a.buf[offMntID:], id)
	ne.PutUint64(a.buf[offParentID:], parent)
	ne.PutUint64(a.buf[offMntAttr:], attr)
	ne.PutUint32(a.buf[offMajor:], 8)
	ne.PutUint32(a.buf[offMinor:], minor)
}
