package races

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// A mountpoint may lie in a FUSE file system of its user, whose daemon can report any
// owner, type and inode for each name. In any case the helper makes a mount of the
// caller's there, or refuses.

// lies are the attributes that alice's daemon reports for a directory that alice wants to
// mount over.
var lies = map[string]fuseserver.Attr{
	"alice's":               {Mode: unix.S_IFDIR | 0o755, UID: alice, GID: alice},
	"root's":                {Mode: unix.S_IFDIR | 0o755},
	"root's, open":          {Mode: unix.S_IFDIR | 0o777},
	"root's, sticky":        {Mode: unix.S_IFDIR | unix.S_ISVTX | 0o777},
	"bob's, sticky":         {Mode: unix.S_IFDIR | unix.S_ISVTX | 0o777, UID: bob},
	"alice's, sticky":       {Mode: unix.S_IFDIR | unix.S_ISVTX | 0o777, UID: alice},
	"nobody's":              {Mode: unix.S_IFDIR, UID: 1<<32 - 2, GID: 1<<32 - 2},
	"setuid":                {Mode: unix.S_IFDIR | unix.S_ISUID | unix.S_ISGID | 0o777, UID: 0},
	"the root's inode":      {Mode: unix.S_IFDIR | 0o755, UID: alice, Ino: 1},
	"the greatest inode":    {Mode: unix.S_IFDIR | 0o755, UID: alice, Ino: 1<<64 - 1},
	"a file":                {Mode: unix.S_IFREG | 0o644, UID: alice},
	"a file of great size":  {Mode: unix.S_IFREG | 0o644, UID: alice, Size: 1<<63 - 1},
	"a device":              {Mode: unix.S_IFCHR | 0o666, UID: alice, Rdev: uint32(unix.Mkdev(10, 229))},
	"a block device":        {Mode: unix.S_IFBLK | 0o666, UID: alice, Rdev: uint32(unix.Mkdev(7, 0))},
	"a symlink":             {Mode: unix.S_IFLNK | 0o777, UID: alice, Size: 10},
	"a socket":              {Mode: unix.S_IFSOCK | 0o777, UID: alice},
	"a symlink without end": {Mode: unix.S_IFLNK | 0o777, UID: alice, Size: 1 << 40},
}

func TestLyingParent(t *testing.T) {
	program := install(t)
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			server, err := fuseserver.Mount(w.home, fuseserver.Tree{
				Files: map[string][]byte{"m": nil}, Lies: map[string]fuseserver.Attr{"m": lie, "": {Mode: unix.S_IFDIR | 0o755, UID: alice}},
			}, fuseserver.MountOptions{UID: alice, GID: alice})
			must(t, err)
			t.Cleanup(func() { must(t, server.Close()) })
			before, err := w.table()
			must(t, err)
			m := filepath.Join(w.home, "m")
			r := runWithin(t, helpertest.Call{Prog: program, UID: alice, GID: alice, Dir: "/", Args: []string{m}})
			must(t, r.Err)
			after, err := w.table()
			must(t, err)
			came := after.without(before)
			if r.Exit == 0 {
				if len(came) != 1 || !isAlices(came[0]) || !came[0].HasOption("nosuid") || !came[0].HasOption("nodev") || r.Dev == nil {
					t.Errorf("exit 0, %d descriptors, and mounts %+v", r.NFDs, came)
				}
				must(t, r.Dev.Close(), detached(&world{program: program, m: m}))
			} else {
				refused(t, r, came, "")
			}
			t.Logf("exit %d, %.200q", r.Exit, r.Stderr)
			wantCallers(t, server)
		})
	}
}

// wantCallers wants the requests to alice's daemon to be alice's, or the kernel's own.
func wantCallers(t *testing.T, server *fuseserver.Server) {
	t.Helper()
	for _, r := range server.Log() {
		if r.UID != alice && !nobodys[r.Op] {
			t.Errorf("the daemon was asked for %v by uid %d", r.Op, r.UID)
		}
	}
}

// TestStalledParent has the daemon not answer one kind of request. The helper waits with
// the caller's ids, on each of its threads, and the daemon gets no other user's requests.
func TestStalledParent(t *testing.T) {
	program := install(t)
	for _, op := range []fuseserver.Opcode{fuseserver.OpLookup, fuseserver.OpGetattr, fuseserver.OpAccess, fuseserver.OpStatfs} {
		for _, args := range [][]string{{}, {"-o", "auto_unmount,x-a"}, {"--sync-init"}, {"-u"}, {"-u", "-z"}, {"--auto-unmount"}} {
			t.Run(fmt.Sprint(op, args), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				f := &ownFuse{}
				var err error
				f.server, err = fuseserver.Mount(w.home, fuseserver.Tree{
					Files: map[string][]byte{"m": nil},
					Lies:  map[string]fuseserver.Attr{"m": {Mode: unix.S_IFDIR | 0o755, UID: alice}, "": {Mode: unix.S_IFDIR | 0o755, UID: alice}},
				}, fuseserver.MountOptions{UID: alice, GID: alice, Server: fuseserver.Options{Silent: []fuseserver.Opcode{op}}})
				must(t, err)
				t.Cleanup(func() { must(t, f.server.Close()) })
				before, err := w.table()
				must(t, err)
				p := startWithin(t, helpertest.Call{
					Prog: program, UID: alice, GID: alice, Dir: "/", Args: append(args, filepath.Join(w.home, "m")),
				})
				if f.askedOrDone(t, p, op) {
					bad, threads, err := asCaller(p.Pid())
					must(t, err)
					if len(bad) > 0 {
						t.Errorf("held with %d threads: %q", threads, bad)
					}
				}
				must(t, endNow(p), f.server.Close())
				r := p.Wait()
				if r.Dev != nil {
					must(t, r.Dev.Close())
				}
				after, err := w.table()
				must(t, err)
				for _, l := range after.without(before) {
					if !isAlices(l) {
						t.Errorf("mounted: %+v", l)
					}
				}
				wantCallers(t, f.server)
			})
		}
	}
}

// askedOrDone waits until the daemon gets a request, or the program has ended or waits
// for its caller.
func (f *ownFuse) askedOrDone(t *testing.T, p *helpertest.Proc, op fuseserver.Opcode) (asked bool) {
	t.Helper()
	waitFor(t, fmt.Sprintf("the program asks for %v, ends, or waits for its caller", op), func() bool {
		select {
		case <-p.Exited():
			return true
		default:
			asked = f.server.Count(op) > 0
			return asked || waitsIn(p.Pid(), unix.SYS_PPOLL)
		}
	})
	return asked
}

// TestLyingOwner has bob's daemon report alice as the owner of everything. The owner of a
// mount is that of the kernel's table.
func TestLyingOwner(t *testing.T) {
	program := install(t)
	for _, args := range [][]string{{"-u"}, {"-u", "-z"}} {
		w := newWorld(t)
		server, err := fuseserver.Mount(w.m, fuseserver.Tree{
			Lies: map[string]fuseserver.Attr{"": {Mode: unix.S_IFDIR | 0o777, UID: alice, GID: alice}},
		}, fuseserver.MountOptions{UID: bob, GID: bob, Data: "allow_other"})
		must(t, err)
		t.Cleanup(func() { must(t, server.Close()) })
		must(t, w.guard(w.m))
		r := runWithin(t, helpertest.Call{Prog: program, UID: alice, GID: alice, Dir: "/", Socket: helpertest.NoSocket, Args: append(args, w.m)})
		refused(t, r, nil, "")
		if after, err := w.table(); err != nil || !after.has(w.strangers[0]) {
			t.Errorf("%q: bob's mount is gone: %v", args, err)
		}
	}
}

// TestSameInode has a mountpoint that is a file with two names. Alice exchanges them when
// the helper has pinned one, and root mounts on that one: the name then leads to the
// other, which has the same inode and is not covered. The helper takes its mount back; it
// only stays over root's if the helper is killed at this moment.
func TestSameInode(t *testing.T) {
	program := install(t)
	tried, covered := 0, 0
	for at := 0; ; at++ {
		w := newWorld(t)
		f, g := filepath.Join(w.home, "f"), filepath.Join(w.home, "g")
		must(t, os.WriteFile(f, nil, 0o644), os.Chown(f, alice, alice), os.Link(f, g))
		struck, attached := false, false
		var broken error // the kernel renames no mountpoint
		r := runWithin(t, helpertest.Call{
			Prog: program, UID: alice, GID: alice, Dir: "/", Args: []string{f}, InterceptFrom: "getresuid",
			InterceptNot: blind,
			Intercept: func(s helpertest.Syscall) helpertest.Verdict {
				if s.Index == at {
					struck = true
					if broken = rotate(w.here, f, g); broken == nil {
						broken = w.coverFile(g)
					}
				}
				attached = attached || struck && s.Name == "move_mount"
				return helpertest.Continue
			},
		})
		if must(t, r.Err); r.Dev != nil {
			must(t, r.Dev.Close())
		}
		if !struck {
			break
		}
		if errors.Is(broken, unix.EBUSY) {
			continue
		}
		must(t, broken)
		tried++
		if attached && r.Exit == 1 {
			covered++
		}
		for _, path := range []string{f, g} {
			for i, l := range fusetest.MountsAt(t, path) {
				if l.FSType == "fuse" && (r.Exit != 0 || i > 0 || !isAlices(l)) {
					t.Errorf("before step %d: exit %d, %q, and at %s %+v", at, r.Exit, r.Stderr, path, fusetest.MountsAt(t, path))
				}
			}
		}
		if l, found := fusetest.FindMount(t, g); !found || l.FSType != "tmpfs" {
			t.Errorf("before step %d: root's mount is %+v", at, l)
		}
	}
	t.Logf("%d moments, in %d of which it was attached over root's mount, and taken back", tried, covered)
}

// rotate exchanges two names of one file. The kernel does nothing when one of them is
// renamed to the other.
func rotate(thread *fusetest.Thread, a, b string) error {
	return thread.Do(func() error {
		// Not os.Rename, which stats the target: it may be a mount without a daemon.
		if err := unix.Rename(a, a+"~"); err != nil {
			return err
		}
		return errors.Join(unix.Rename(b, a), unix.Rename(a+"~", b))
	})
}

// coverFile has root mount a file of theirs on one.
func (w *world) coverFile(path string) error {
	dir := filepath.Join(w.roots, "cover")
	file := filepath.Join(dir, "file")
	return errors.Join(os.Mkdir(dir, 0o755), helpertest.Mount(dir, "tmpfs", 0, "mode=0755"),
		os.WriteFile(file, nil, 0o644), unix.Mount(file, path, "", unix.MS_BIND, ""))
}
