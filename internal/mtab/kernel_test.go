package mtab

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/mountopts"
)

const owner = 4242

// needStatmount skips where the kernel has only one way to read the table.
func needStatmount(t *testing.T) {
	t.Helper()
	fusetest.NeedNamespace(t)
	if _, err := listmount(allMounts); errors.Is(err, unix.ENOSYS) {
		fusetest.Skip(t, "use Linux 6.8 or later: statmount is compared with mountinfo")
	}
}

// serve mounts a FUSE file system of uid's and waits for its daemon.
func serve(t *testing.T, dir string, opts fuseserver.MountOptions) *fuseserver.Server {
	t.Helper()
	fusetest.NeedDevice(t)
	server, err := fuseserver.Mount(dir, fuseserver.Tree{Files: map[string][]byte{"file": []byte("x")}}, opts)
	must(t, err)
	t.Cleanup(func() { _ = server.Close() }) // some tests have killed it
	select {
	case <-server.Ready():
	case <-time.After(fusetest.Patience):
		t.Fatal("the daemon is not ready")
	}
	return server
}

// views are the answers about one mount in both ways.
type views struct {
	byID, byText, of Entry
	isRoot           bool
	old              uint64
}

// look reads in both ways what lies at path. It runs as the path's owner.
func look(path string) (v views, err error) {
	fd, err := openPath(path)
	if err != nil {
		return v, err
	}
	defer unix.Close(fd)
	id, isRoot, err := UniqueID(fd, "", unix.AT_EMPTY_PATH)
	if err != nil {
		return v, err
	}
	v.isRoot = isRoot
	if v.byID, err = ByID(id, true); err != nil {
		return v, err
	}
	if v.old, err = OldID(fd); err != nil {
		return v, err
	}
	if v.byText, err = ByOldID(v.old); err != nil {
		return v, err
	}
	of, ofRoot, err := ByFD(fd)
	v.of = of
	if ofRoot != isRoot {
		err = errors.Join(err, errors.New("ByFD and UniqueID disagree on the root"))
	}
	return v, err
}

// mustLook is look as a user, and checks that both ways agree.
func mustLook(t *testing.T, uid uint32, path string) views {
	t.Helper()
	var v views
	must(t, fusetest.AsUser(uid, uid, func() (err error) {
		v, err = look(path)
		return err
	}))
	if !v.byID.Unique || v.byText.Unique || v.of != v.byID || v.byText.ID != v.old {
		t.Errorf("ids: statmount %+v, mountinfo %+v, Of %+v", v.byID, v.byText, v.of)
	}
	wantSame(t, v.byID, v.byText)
	return v
}

// wantSame compares all that does not depend on the kind of the ids. Kernels
// before 6.13 tell neither subtype nor source by id.
func wantSame(t *testing.T, byID, byText Entry) {
	t.Helper()
	if byID.OldID != byText.ID {
		t.Errorf("OldID = %d, want %d", byID.OldID, byText.ID)
	}
	byID.ID, byID.Parent, byID.Unique = byText.ID, byText.Parent, byText.Unique
	byID.OldID, byID.Options = 0, byText.Options
	if !tellsSource(t) {
		byID.Source = byText.Source
		if mountopts.IsFuse(byID.Type) && mountopts.IsFuse(byText.Type) {
			byID.Type = byText.Type
		}
	}
	byText.SuperOptions, byID.SuperOptions = fsOptions(byText), fsOptions(byID)
	if byID != byText {
		t.Errorf("statmount %+v\nmountinfo %+v", byID, byText)
	}
}

// tellsSource says whether the kernel is to tell sources and subtypes by id.
func tellsSource(t *testing.T) bool {
	t.Helper()
	var name unix.Utsname
	must(t, unix.Uname(&name))
	var major, minor int
	_, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor)
	must(t, err)
	return major > 6 || major == 6 && minor >= 13
}

// fsOptions leaves out rw, which only the text has: it is of the superblock
// and not of the file system's own words.
func fsOptions(e Entry) string {
	return strings.TrimPrefix(strings.TrimPrefix(e.SuperOptions, "rw"), ",")
}

// A mount is found in whatever state its daemon is, without asking it.
func TestByFDStates(t *testing.T) {
	needStatmount(t)
	fusetest.NeedRoot(t)
	for name, change := range map[string]func(*fuseserver.Server) error{
		"healthy": func(*fuseserver.Server) error { return nil },
		"hung":    func(s *fuseserver.Server) error { s.Hang(); return nil },
		"dead":    (*fuseserver.Server).Close,
	} {
		for kind, opts := range map[string]fuseserver.MountOptions{
			"plain":   {UID: owner, GID: owner},
			"subtype": {UID: owner, GID: owner, Subtype: "sub.x", Source: "s o\tu\nr\\c#e,"},
			"others":  {UID: owner, GID: owner, Data: "allow_other,default_permissions,max_read=8192"},
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				dir := fusetest.Dir(t, owner)
				server := serve(t, dir, opts)
				must(t, change(server))
				v := mustLook(t, owner, dir)
				wantFuse(t, v.byText, dir, opts)
				wantFuse(t, v.of, dir, opts)
				if !v.isRoot {
					t.Error("not the root of the mount")
				}
				wantLine(t, v.byText, dir)
				if asked := server.Asked(); len(asked) > 0 {
					t.Errorf("the daemon was asked: %v", asked)
				}
			})
		}
	}
}

// wantFuse checks what the mount was created with.
func wantFuse(t *testing.T, e Entry, dir string, opts fuseserver.MountOptions) {
	t.Helper()
	wantType, wantSource := "fuse", "fusetest"
	if opts.Subtype != "" {
		wantType, wantSource = "fuse."+opts.Subtype, opts.Source
	}
	if e.Unique && !tellsSource(t) {
		wantType, wantSource = "fuse", ""
	}
	if uid, ok := e.Owner(); !ok || uid != opts.UID {
		t.Errorf("owner %d, %v; want %d", uid, ok, opts.UID)
	}
	if e.Type != wantType || e.Source != wantSource || e.Mountpoint != dir || !e.NoSuid || !e.NoDev {
		t.Errorf("%+v; want %s from %q at %s", e, wantType, wantSource, dir)
	}
}

// wantLine compares with a parser that is not ours.
func wantLine(t *testing.T, e Entry, dir string) {
	t.Helper()
	line, found := fusetest.FindMount(t, dir)
	if !found || uint64(line.ID) != e.ID || uint64(line.Parent) != e.Parent || line.FSType != e.Type || line.Source != e.Source {
		t.Errorf("%+v; want %+v, %v", e, line, found)
	}
}

// Root may not access another user's mount, but finds it.
func TestByFDOfAnotherUser(t *testing.T) {
	needStatmount(t)
	fusetest.NeedRoot(t)
	dir := fusetest.Dir(t, owner)
	server := serve(t, dir, fuseserver.MountOptions{UID: owner, GID: owner})
	fd, err := openPath(dir)
	must(t, err)
	defer unix.Close(fd)
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID_UNIQUE, &st); !errors.Is(err, unix.EACCES) {
		t.Fatalf("statx: %v; want EACCES", err)
	}
	if _, err := handleMountID(fd, "", unix.AT_EMPTY_PATH); err != nil {
		fusetest.Skip(t, "use Linux 6.12 or later: name_to_handle_at gives no unique id here: "+err.Error())
	}
	id, isRoot, err := UniqueID(fd, "", unix.AT_EMPTY_PATH)
	mine := mustLook(t, owner, dir)
	if err != nil || !isRoot || id != mine.byID.ID {
		t.Errorf("UniqueID = %d, %v, %v; want %d", id, isRoot, err, mine.byID.ID)
	}
	if old, err := OldID(fd); err != nil || old != mine.byText.ID {
		t.Errorf("OldID = %d, %v; want %d", old, err, mine.byText.ID)
	}
	if e, isRoot, err := ByFD(fd); err != nil || !isRoot || e != mine.byID {
		t.Errorf("Of = %+v, %v, %v; want %+v", e, isRoot, err, mine.byID)
	}
	if asked := server.Asked(); len(asked) > 0 {
		t.Errorf("the daemon was asked: %v", asked)
	}
}

// Only the root of a mount is reported as one, in both ways.
func TestIsRoot(t *testing.T) {
	needStatmount(t)
	dir := fusetest.Dir(t, 0)
	must(t, unix.Mount("isroot", dir, "tmpfs", 0, "mode=0755"))
	must(t, unix.Mkdir(filepath.Join(dir, "sub"), 0o755))
	file := filepath.Join(dir, "sub", "file")
	must(t, unix.Mknod(file, unix.S_IFREG|0o644, 0))
	for path, want := range map[string]bool{dir: true, filepath.Dir(file): false, file: false} {
		if v := mustLook(t, 0, path); v.isRoot != want || v.of.Mountpoint != dir {
			t.Errorf("%s: root %v of %+v; want %v", path, v.isRoot, v.of, want)
		}
	}
	must(t, unix.Mount(filepath.Dir(file), filepath.Dir(file), "", unix.MS_BIND, ""))
	if v := mustLook(t, 0, filepath.Dir(file)); !v.isRoot || v.of.Mountpoint != filepath.Dir(file) {
		t.Errorf("a bound directory: root %v of %+v", v.isRoot, v.of)
	}
}
