package mtab

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
)

// Both ways to read the table find the same FUSE mounts, and nothing else.
func TestFuseMounts(t *testing.T) {
	needStatmount(t)
	dir := fusetest.Dir(t, 0)
	before, err := FuseMounts()
	must(t, err)
	serve(t, dir, fuseserver.MountOptions{Source: "a b", Subtype: "sub"})
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
