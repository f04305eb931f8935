package mtab

import (
	"reflect"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// Both ways to read the table find the same FUSE mounts, and nothing else.
func TestFuseMounts(t *testing.T) {
	needStatmount(t)
	dir := fusetest.Dir(t, 0)
	before, err := FuseMounts()
	must(t, err)
	serve(t, dir, fusetest.MountOptions{Source: "a b", Subtype: "sub"})
	must(t, unix.Mount("none", fusetest.Dir(t, 0), "tmpfs", 0, ""))
	all, err := FuseMounts()
	must(t, err)
	if len(all) != len(before)+1 {
		t.Fatalf("%d mounts, before %d: %+v", len(all), len(before), all)
	}
	i := slices.IndexFunc(all, func(e Entry) bool { return e.Mountpoint == dir })
	if i < 0 || all[i].Type != "fuse.sub" || all[i].Source != "a b" || !all[i].Unique {
		t.Errorf("%+v", all)
	}
	byText, err := fuseByText()
	must(t, err)
	for _, e := range byText {
		if e.Mountpoint == dir && (e.Type != "fuse.sub" || e.Source != "a b" || e.Unique) {
			t.Errorf("by text: %+v", e)
		}
	}
	if len(byText) != len(all) {
		t.Errorf("%d mounts by text, %d by id", len(byText), len(all))
	}
}

func TestPresent(t *testing.T) {
	fusetest.NeedDevice(t)
	stays, goes := fusetest.Dir(t, 0), fusetest.Dir(t, 0)
	serve(t, stays, fusetest.MountOptions{})
	serve(t, goes, fusetest.MountOptions{})
	entries := make([]Entry, 0, 4)
	for _, dir := range []string{stays, goes} {
		fd, err := openPath(dir)
		must(t, err)
		e, _, err := ByFD(fd)
		must(t, err)
		old, err := OldID(fd)
		must(t, err)
		must(t, unix.Close(fd))
		byText, err := ByOldID(old)
		must(t, err)
		entries = append(entries, e, byText)
	}
	if got := Present(entries); !reflect.DeepEqual(got, []bool{true, true, true, true}) {
		t.Errorf("both are mounted: %v", got)
	}
	must(t, unix.Unmount(goes, unix.MNT_DETACH))
	if got := Present(entries); !reflect.DeepEqual(got, []bool{true, true, false, false}) {
		t.Errorf("one is mounted: %v", got)
	}
}
