//go:build linux

package fusemounts

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/mtab"
)

// serve mounts a FUSE file system and waits for its daemon.
func serve(t *testing.T, dir string, opts fuseserver.MountOptions) *fuseserver.Server {
	t.Helper()
	server, err := fuseserver.Mount(dir, fuseserver.Tree{}, opts)
	must(t, err)
	t.Cleanup(func() { must(t, server.Close()) })
	select {
	case <-server.Ready():
	case <-time.After(fusetest.Patience):
		t.Fatal("the daemon is not ready")
	}
	return server
}

// Both ways to read the table find the same FUSE mounts, and nothing else.
func TestAll(t *testing.T) {
	fusetest.NeedNamespace(t)
	fusetest.NeedDevice(t)
	if _, err := mtab.FuseByID(); errors.Is(err, unix.ENOSYS) {
		fusetest.Skip(t, "use Linux 6.8 or later: statmount is compared with mountinfo")
	}
	dir := fusetest.Dir(t, 0)
	before, err := All()
	must(t, err)
	serve(t, dir, fuseserver.MountOptions{Source: "a b", Subtype: "sub"})
	must(t, unix.Mount("none", fusetest.Dir(t, 0), "tmpfs", 0, ""))
	all, err := All()
	must(t, err)
	if len(all) != len(before)+1 {
		t.Fatalf("%d mounts, before %d: %+v", len(all), len(before), all)
	}
	i := slices.IndexFunc(all, func(e mtab.Entry) bool { return e.Mountpoint == dir })
	if i < 0 || all[i].Type != "fuse.sub" || all[i].Source != "a b" || !all[i].Unique {
		t.Errorf("%+v", all)
	}
	byText, err := mtab.Fuse()
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

// By its path a mount is found as by a descriptor, by its owner and by root, and no daemon
// is asked.
func TestByPath(t *testing.T) {
	fusetest.NeedNamespace(t)
	fusetest.NeedRoot(t)
	fusetest.NeedDevice(t)
	const owner = 4242
	dir := fusetest.Dir(t, owner)
	must(t, os.Symlink(dir, dir+".link"))
	t.Cleanup(func() { must(t, os.Remove(dir+".link")) })
	server := serve(t, dir, fuseserver.MountOptions{UID: owner, GID: owner, Source: "at"})
	for _, uid := range []uint32{0, owner} {
		must(t, fusetest.AsUser(uid, uid, func() error {
			e, isRoot, err := ByPath(dir)
			if err != nil || !isRoot || e.Mountpoint != dir || e.Source != "at" {
				t.Errorf("%d: %+v, %v, %v", uid, e, isRoot, err)
			}
			if e, isRoot, err := ByPath(filepath.Dir(dir)); err != nil || isRoot || e.Type != "tmpfs" {
				t.Errorf("its parent: %+v, %v, %v", e, isRoot, err)
			}
			if e, isRoot, err := ByPath(dir + ".link"); err != nil || isRoot || e.Type != "tmpfs" {
				t.Errorf("a link: %+v, %v, %v", e, isRoot, err)
			}
			if _, _, err := ByPath(dir + ".absent"); !errors.Is(err, unix.ENOENT) {
				t.Errorf("absent: %v", err)
			}
			return nil
		}))
	}
	if asked := server.Asked(); len(asked) > 0 {
		t.Errorf("asked %v", asked)
	}
}
