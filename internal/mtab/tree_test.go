package mtab

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
)

// tmpfs makes a directory and mounts on it.
func tmpfs(t *testing.T, dir string) {
	t.Helper()
	if err := unix.Mkdir(dir, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
		t.Fatal(err)
	}
	must(t, unix.Mount("inside", dir, "tmpfs", 0, "mode=0755"))
}

// insideBoth gives the mountpoints inside dir in both ways, sorted.
func insideBoth(t *testing.T, dir string) (byID, byText []string) {
	t.Helper()
	v := mustLook(t, 0, dir)
	for _, way := range []struct {
		top  Entry
		list *[]string
	}{{v.byID, &byID}, {v.byText, &byText}} {
		entries, err := Descendants(way.top)
		must(t, err)
		for _, e := range entries {
			*way.list = append(*way.list, e.Type+" "+e.Mountpoint)
		}
		slices.Sort(*way.list)
	}
	return byID, byText
}

func TestDescendants(t *testing.T) {
	needStatmount(t)
	fusetest.NeedDevice(t)
	dir := fusetest.Dir(t, 0)
	outer, beside := filepath.Join(dir, "outer"), filepath.Join(dir, "outer-not")
	tmpfs(t, outer)
	tmpfs(t, beside)
	if byID, byText := insideBoth(t, outer); len(byID)+len(byText) > 0 {
		t.Errorf("inside an empty one: %q, %q", byID, byText)
	}
	for _, sub := range []string{"a", "a/b", "a/b/c", "a b", "d\n"} {
		tmpfs(t, filepath.Join(outer, sub))
	}
	tmpfs(t, filepath.Join(outer, "a b")) // a stack
	f := filepath.Join(outer, "a/f")
	must(t, unix.Mkdir(f, 0o755))
	serve(t, f, fuseserver.MountOptions{Subtype: "x"})
	byID, byText := insideBoth(t, outer)
	var want []string
	for _, line := range fusetest.Mountinfo(t) {
		if strings.HasPrefix(line.Mountpoint, outer+"/") {
			want = append(want, line.FSType+" "+line.Mountpoint)
		}
	}
	slices.Sort(want)
	if !slices.Equal(byText, want) || len(want) != 7 {
		t.Errorf("mountinfo: %q; want %q", byText, want)
	}
	if !slices.Equal(byID, want) && !slices.Contains(byID, "fuse "+f) { // before 6.13 without its subtype
		t.Errorf("statmount: %q; want %q", byID, want)
	}
}

// More mounts than one answer of listmount holds.
func TestDescendantsMany(t *testing.T) {
	needStatmount(t)
	const many = 600
	dir := fusetest.Dir(t, 0)
	tmpfs(t, dir)
	before, ok := CountMounts()
	for i := range many {
		tmpfs(t, filepath.Join(dir, fmt.Sprint(i)))
	}
	byID, byText := insideBoth(t, dir)
	if len(byID) != many || !slices.Equal(byID, byText) {
		t.Errorf("%d by id, %d by text; want %d", len(byID), len(byText), many)
	}
	if different := slices.Compact(byID); len(different) != many {
		t.Errorf("%d different; want %d", len(different), many)
	}
	if after, okAfter := CountMounts(); !ok || !okAfter || after != before+many {
		t.Errorf("CountMounts: %d, then %d", before, after)
	}
}

func TestCountMounts(t *testing.T) {
	needStatmount(t)
	if n, ok := CountMounts(); !ok || n != len(fusetest.Mountinfo(t)) {
		t.Errorf("CountMounts = %d, %v; want %d", n, ok, len(fusetest.Mountinfo(t)))
	}
}

// counts counts in both ways, and checks that they agree.
func counts(t *testing.T) int {
	t.Helper()
	mounts, err := FuseByID()
	must(t, err)
	byID := distinct(mounts)
	mounts, err = Fuse()
	must(t, err)
	byText := distinct(mounts)
	if byID != byText {
		t.Errorf("%d by id, %d by text", byID, byText)
	}
	return byID
}

// distinct counts file systems.
func distinct(mounts []Entry) int {
	seen := map[[2]uint32]bool{}
	for _, e := range mounts {
		seen[[2]uint32{e.Major, e.Minor}] = true
	}
	return len(seen)
}

// File systems count once, however often they are mounted. A type whose name only begins
// with fuse does not count.
func TestFuse(t *testing.T) {
	needStatmount(t)
	fusetest.NeedDevice(t)
	base := counts(t)
	want := func(what string, more int) {
		t.Helper()
		if n := counts(t); n != base+more {
			t.Errorf("%s: %d more; want %d", what, n-base, more)
		}
	}
	first, second, bound := fusetest.Dir(t, 0), fusetest.Dir(t, 0), fusetest.Dir(t, 0)
	server := serve(t, first, fuseserver.MountOptions{})
	want("one", 1)
	serve(t, second, fuseserver.MountOptions{Subtype: "sub", Source: "x - fuse y"})
	want("two", 2)
	must(t, unix.Mount(first, bound, "", unix.MS_BIND, ""))
	want("a bind mount", 2)
	must(t, server.Close())
	want("a dead one", 2)
	must(t, unix.Unmount(first, unix.MNT_DETACH))
	want("its bind mount alone", 2)
	must(t, unix.Unmount(bound, unix.MNT_DETACH))
	want("the last of it gone", 1)
	must(t, unix.Mount("fuse", first, "tmpfs", 0, ""))
	must(t, unix.Mount("- fuse", bound, "tmpfs", 0, ""))
	want("sources named fuse", 1)
	if err := unix.Mount("fusectl", fusetest.Dir(t, 0), "fusectl", 0, ""); err == nil {
		want("fusectl", 1)
	}
}

// Every byte of a mountpoint's name is read back in both ways.
func TestNames(t *testing.T) {
	needStatmount(t)
	for _, name := range []string{
		"a b", "a\tb", "a\nb", "a\\b", "a#b", "\\040", "\\134040", "\n\t #\\", "x (deleted)", "x//deleted", "a,b=c",
		"\xff\xfe", "é\x01\x7f\x1b[0m", " - fuse x user_id=0", "\n1 1 0:1 / ", "\\", "#", " ", strings.Repeat("\\", 255),
	} {
		name = strings.ReplaceAll(name, "/", "|")
		t.Run(fmt.Sprintf("%.20q", name), func(t *testing.T) {
			dir := filepath.Join(fusetest.Dir(t, 0), name)
			tmpfs(t, dir)
			v := mustLook(t, 0, dir)
			if v.byID.Mountpoint != dir || v.byText.Mountpoint != dir {
				t.Errorf("by id %q, by text %q; want %q", v.byID.Mountpoint, v.byText.Mountpoint, dir)
			}
		})
	}
}

// A path longer than the first buffer of statmount.
func TestLongName(t *testing.T) {
	needStatmount(t)
	dir := fusetest.Dir(t, 0)
	for len(dir) < 3500 {
		dir = filepath.Join(dir, strings.Repeat("x", 250))
		must(t, unix.Mkdir(dir, 0o755))
	}
	tmpfs(t, dir)
	if v := mustLook(t, 0, dir); v.byID.Mountpoint != dir || v.byText.Mountpoint != dir {
		t.Errorf("%d bytes by id, %d by text; want %d", len(v.byID.Mountpoint), len(v.byText.Mountpoint), len(dir))
	}
}

func TestNotListed(t *testing.T) {
	needStatmount(t)
	dir := fusetest.Dir(t, 0)
	tmpfs(t, dir)
	fd, err := openPath(dir)
	must(t, err)
	defer unix.Close(fd)
	must(t, unix.Unmount(dir, unix.MNT_DETACH))
	if e, _, err := ByFD(fd); !errors.Is(err, ErrNotListed) {
		t.Errorf("of a detached mount: %+v, %v; want %v", e, err, ErrNotListed)
	}
	if _, err := ByOldID(1 << 40); !errors.Is(err, ErrNotListed) {
		t.Errorf("find = %v; want %v", err, ErrNotListed)
	}
}
