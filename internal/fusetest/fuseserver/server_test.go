package fuseserver

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/testsys"
)

var hello = Tree{Files: map[string][]byte{"hello": []byte("hello, world\n"), "big": make([]byte, 300<<10), "empty": {}}}

// serve mounts a tree in a fresh directory of uid 0.
func serve(t *testing.T, tree Tree, opts MountOptions) (string, *Server) {
	t.Helper()
	fusetest.NeedDevice(t)
	dir := fusetest.Dir(t, 0)
	if tree.FileRoot != nil {
		dir = filepath.Join(dir, "file")
		if err := os.WriteFile(dir, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Mount(dir, tree, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return dir, s
}

// await waits for something that must happen.
func await(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(fusetest.Patience):
		t.Fatal("never happened: " + what)
	}
}

func TestServerHealthy(t *testing.T) {
	dir, s := serve(t, hello, MountOptions{Source: "a source", Subtype: "sub"})
	await(t, "INIT", s.Ready())
	for name, want := range hello.Files {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(got) != string(want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 || entries[2].Name() != "hello" {
		t.Errorf("entries %v, %v", entries, err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil || st.Type != unix.FUSE_SUPER_MAGIC || st.Blocks != 100 {
		t.Errorf("statfs %+v, %v", st, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := unix.Mkdir(filepath.Join(dir, "new"), 0o755); !errors.Is(err, unix.ENOSYS) {
		t.Error(err)
	}
	l, ok := fusetest.FindMount(t, dir)
	if !ok || l.FSType != "fuse.sub" || l.Source != "a source" || !l.HasOption("nosuid") || !l.HasOption("user_id=0") {
		t.Errorf("mount %+v", l)
	}
	for _, op := range []Opcode{OpInit, OpLookup, OpGetattr, OpRead, OpReaddir, OpStatfs} {
		if s.Count(op) == 0 {
			t.Errorf("no %v among %v", op, s.Requests())
		}
	}
	if err := unix.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
	await(t, "end after unmount", s.Done())
	if err := s.Wait(); err != nil || s.Mode() != Dead {
		t.Error(err, s.Mode())
	}
}

func TestServerFileRoot(t *testing.T) {
	path, _ := serve(t, Tree{FileRoot: []byte("content")}, MountOptions{})
	got, err := os.ReadFile(path)
	if err != nil || string(got) != "content" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestServerNeverAsked(t *testing.T) {
	dir, s := serve(t, hello, MountOptions{})
	await(t, "INIT", s.Ready())
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Close(fd); err != nil {
		t.Fatal(err)
	}
	if asked := s.Asked(); len(asked) != 0 || !slices.Contains(s.Requests(), OpInit) {
		t.Errorf("asked %v", asked)
	}
}

func TestServerHung(t *testing.T) {
	dir, s := serve(t, hello, MountOptions{})
	await(t, "INIT", s.Ready())
	s.Hang()
	done := make(chan error, 1)
	go func() {
		_, err := os.ReadFile(filepath.Join(dir, "hello"))
		done <- err
	}()
	for len(s.Asked()) == 0 {
		select {
		case err := <-done:
			t.Fatal("answered while hung:", err)
		case <-time.After(fusetest.Patience):
			t.Fatal("no request came")
		default:
		}
	}
	s.Resume()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestServerHungDies(t *testing.T) {
	dir, s := serve(t, hello, MountOptions{})
	s.Hang()
	await(t, "INIT in spite of Hang", s.Ready())
	done := make(chan error, 1)
	go func() {
		_, err := os.Stat(dir)
		done <- err
	}()
	s.AwaitAsked(t, 0)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, unix.ECONNABORTED) && !errors.Is(err, unix.ENOTCONN) {
		t.Error(err)
	}
}

func TestServerDead(t *testing.T) {
	dir, s := serve(t, hello, MountOptions{})
	await(t, "INIT", s.Ready())
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	if err := s.Wait(); !errors.Is(err, fs.ErrClosed) {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, unix.ENOTCONN) {
		t.Error(err)
	}
	if _, ok := fusetest.FindMount(t, dir); !ok {
		t.Error("the mount has gone with its daemon")
	}
}

func TestServerFrozen(t *testing.T) {
	dir, s := serve(t, hello, MountOptions{Server: Options{HangBeforeInit: true}})
	if len(s.Requests()) != 0 || s.Mode() != Frozen {
		t.Error("a frozen server reads")
	}
	s.Resume()
	await(t, "INIT", s.Ready())
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
	frozen, f := serve(t, hello, MountOptions{Server: Options{HangBeforeInit: true}})
	if err := unix.Unmount(frozen, unix.MNT_DETACH); err != nil {
		t.Error(err)
	}
	await(t, "end of a frozen server", f.Done())
}

func TestServerLies(t *testing.T) {
	tree := Tree{Files: hello.Files, Lies: map[string]Attr{
		"":      {Mode: unix.S_IFDIR | 0o1777, UID: 0, GID: 0},
		"hello": {Mode: unix.S_IFREG | unix.S_ISUID | 0o755, Ino: 77},
		"empty": {Mode: unix.S_IFCHR | 0o666, Rdev: uint32(unix.Mkdev(1, 5))},
	}}
	dir, _ := serve(t, tree, MountOptions{})
	var st unix.Stat_t
	for name, want := range tree.Lies {
		if err := unix.Lstat(filepath.Join(dir, name), &st); err != nil || st.Mode != want.Mode || st.Uid != want.UID || want.Ino != 0 && st.Ino != want.Ino {
			t.Errorf("%q: mode %o, uid %d, inode %d, %v", name, st.Mode, st.Uid, st.Ino, err)
		}
	}
}

// A server reports the ids of its requests, and can leave some kinds without an answer.
func TestServerSilent(t *testing.T) {
	fusetest.NeedRoot(t)
	dir, s := serve(t, hello, MountOptions{UID: 4242, GID: 4242, Server: Options{Silent: []Opcode{OpStatfs}}})
	asked := make(chan error, 1)
	err := fusetest.AsUser(4242, 4242, func() error {
		var st unix.Stat_t
		return unix.Stat(filepath.Join(dir, "hello"), &st)
	})
	if err != nil {
		t.Error(err)
	}
	go func() {
		asked <- fusetest.AsUser(4242, 4242, func() error { return unix.Statfs(dir, &unix.Statfs_t{}) })
	}()
	for end := time.Now().Add(fusetest.Patience); s.Count(OpStatfs) == 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	select {
	case err := <-asked:
		t.Errorf("statfs was answered: %v", err)
	default:
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-asked; !errors.Is(err, unix.ECONNABORTED) && !errors.Is(err, unix.ENOTCONN) {
		t.Error(err)
	}
	for _, r := range s.Log() {
		if !r.Op.isHousekeeping() && (r.UID != 4242 || r.GID != 4242) {
			t.Errorf("%+v", r)
		}
	}
}

func TestServerWithoutMount(t *testing.T) {
	fusetest.NeedDevice(t)
	dev, err := fusetest.OpenDevice()
	if err != nil {
		t.Fatal(err)
	}
	s := Serve(dev, hello)
	if err := s.Wait(); !errors.Is(err, unix.EPERM) {
		t.Error(err)
	}
	if err := s.Close(); !errors.Is(err, unix.EPERM) {
		t.Error(err)
	}
}

// TestServerSyncInit serves a device before it is mounted: the loop waits
// inside the kernel then, and must end all the same.
func TestServerSyncInit(t *testing.T) {
	fusetest.NeedDevice(t)
	dev, err := fusetest.OpenDevice()
	if err != nil {
		t.Fatal(err)
	}
	if err := fusetest.SyncInit(dev); err != nil {
		testsys.MustClose(dev)
		fusetest.Skip(t, "boot Linux 6.18 or newer: "+err.Error())
	}
	if err := Serve(dev, hello).Close(); err != nil {
		t.Error(err)
	}
}
