package conformance

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// watched is a mount whose helper has stayed as its watcher.
type watched struct {
	*helpertest.Proc
	call       helpertest.Call
	mountpoint string
	server     *fuseserver.Server
}

// watch mounts with auto_unmount and serves the mount.
func watch(t *testing.T) *watched {
	t.Helper()
	call, mountpoint := asUser(t)
	// The watcher must not keep this file open.
	writeFile(t, "/etc/fuse.conf", "mount_max = 1000\n")
	t.Cleanup(func() { _ = os.Remove("/etc/fuse.conf") })
	call.Args = []string{"-o", "auto_unmount,fsname=watched", mountpoint}
	return startWatch(t, call, mountpoint)
}

func startWatch(t *testing.T, call helpertest.Call, mountpoint string) *watched {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), fusetest.Patience)
	t.Cleanup(cancel)
	p, err := call.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Receive(time.Now().Add(fusetest.Patience))
	if err != nil || got.Dev == nil {
		t.Fatalf("%+v, %v: %s", got, err, p.Wait().Stderr)
	}
	w := &watched{Proc: p, call: call, mountpoint: mountpoint, server: fuseserver.Serve(got.Dev, fuseserver.Tree{})}
	t.Cleanup(func() { _ = w.server.Close() }) // most tests have killed it
	return w
}

// die closes all that a daemon holds, as when it is killed.
func (w *watched) die(t *testing.T) {
	t.Helper()
	if err := w.server.Close(); err != nil {
		t.Fatal(err)
	}
	w.closeSocket(t)
}

func (w *watched) closeSocket(t *testing.T) {
	t.Helper()
	if err := w.CloseSocket(); err != nil {
		t.Fatal(err)
	}
}

func (w *watched) wantExit(t *testing.T, status int) {
	t.Helper()
	if r := w.Wait(); r.Err != nil || r.Exit != status {
		t.Errorf("the watcher: exit %d, signal %v, %v: %s", r.Exit, r.Signal, r.Err, r.Stderr)
	}
}

func wantThere(t *testing.T, mountpoint string) {
	t.Helper()
	if _, found := fusetest.FindMount(t, mountpoint); !found {
		t.Error("the mount is gone")
	}
}

func TestWatchDaemonKilled(t *testing.T) {
	w := watch(t)
	w.die(t)
	w.wantExit(t, 0)
	wantNothing(t, w.mountpoint)
}

// A daemon that lives on without the socket keeps its mount.
func TestWatchDaemonLives(t *testing.T) {
	w := watch(t)
	<-w.server.Ready()
	w.closeSocket(t)
	w.wantExit(t, 0)
	wantThere(t, w.mountpoint)
	unmount(t, w.call, w.mountpoint)
}

// The next mount there is another one, even if the kernel gives it the same old id and
// device number. It has no daemon, so a watcher that asked it would wait.
func TestWatchUnmountedBefore(t *testing.T) {
	for read, deny := range waysToRead {
		t.Run(read, func(t *testing.T) {
			call, mountpoint := asUser(t)
			call.Deny = deny
			call.Args = []string{"-o", "auto_unmount,fsname=watched", mountpoint}
			w := startWatch(t, call, mountpoint)
			unmount(t, call, mountpoint)
			call.Args = []string{"-o", "fsname=other", mountpoint}
			wantMounted(t, run(t, call), mountpoint)
			w.die(t)
			w.wantExit(t, 0)
			wantThere(t, mountpoint)
			unmount(t, call, mountpoint)
		})
	}
}

// A mount on top of the dead one stays, and so does the dead one.
func TestWatchStacked(t *testing.T) {
	w := watch(t)
	if err := unix.Mount("upper", w.mountpoint, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	w.die(t)
	w.wantExit(t, 0)
	if line, _ := fusetest.FindMount(t, w.mountpoint); line.FSType != "tmpfs" {
		t.Errorf("topmost: %+v", line)
	}
}

// The mount is found by its id, not by its path.
func TestWatchParentRenamed(t *testing.T) {
	call, home := asUser(t)
	mountpoint := filepath.Join(home, "parent", "m")
	if err := os.MkdirAll(mountpoint, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Dir(mountpoint), mountpoint} {
		if err := os.Chown(dir, alice, alice); err != nil {
			t.Fatal(err)
		}
	}
	call.Args = []string{"-o", "auto_unmount", mountpoint}
	w := startWatch(t, call, mountpoint)
	moved := filepath.Join(home, "moved")
	if err := os.Rename(filepath.Dir(mountpoint), moved); err != nil {
		t.Fatal(err)
	}
	wantThere(t, filepath.Join(moved, "m"))
	w.die(t)
	w.wantExit(t, 0)
	wantNothing(t, filepath.Join(moved, "m"))
}

// Bytes and signals do not end the watch.
func TestWatchIgnores(t *testing.T) {
	w := watch(t)
	if err := w.Send([]byte("not for you")); err != nil {
		t.Fatal(err)
	}
	waitIgnoring(t, w.Pid())
	for sig := unix.Signal(1); sig <= 64; sig++ {
		if sig == unix.SIGKILL || sig == unix.SIGSTOP {
			continue
		}
		if err := w.Signal(sig); err != nil {
			t.Errorf("%v: %v", sig, err)
		}
	}
	select {
	case <-w.Exited():
		t.Fatal("the watcher has ended")
	default:
	}
	w.die(t)
	w.wantExit(t, 0)
	wantNothing(t, w.mountpoint)
}

// For a non-blocking stream the runtime uses epoll; the watcher must not close that
// descriptor.
func TestWatchNonblockingStream(t *testing.T) {
	call, mountpoint := asUser(t)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	stdin := os.NewFile(uintptr(pipe[0]), "stdin")
	defer stdin.Close()
	defer unix.Close(pipe[1])
	call.Stdin = stdin
	call.Args = []string{"-o", "auto_unmount", mountpoint}
	w := startWatch(t, call, mountpoint)
	waitIgnoring(t, w.Pid())
	if links := helpertest.Descriptors(t, w.Pid()); !slices.Contains(links, "anon_inode:[eventpoll]") {
		t.Errorf("the runtime's poller is closed, or was never there: %v", links)
	}
	w.die(t)
	w.wantExit(t, 0)
	wantNothing(t, w.mountpoint)
}

// wantCleanedUp kills the daemon of a watcher, which must unmount and succeed.
func wantCleanedUp(t *testing.T, watcher *helpertest.Proc, server *fuseserver.Server, mountpoint string) {
	t.Helper()
	waitIgnoring(t, watcher.Pid())
	must(t, server.Close(), watcher.CloseSocket())
	if r := watcher.Wait(); r.Exit != 0 {
		t.Errorf("exit %d: %s", r.Exit, r.Stderr)
	}
	wantNothing(t, mountpoint)
}

// --auto-unmount mounts nothing and watches an existing mount.
func TestWatchAlone(t *testing.T) {
	call, mountpoint := asUser(t)
	call.Args = []string{"--auto-unmount", "--", mountpoint}
	wantRefusal(t, run(t, call), mountpoint, "entry for "+mountpoint+" not found in /etc/mtab")

	first := call
	first.Args = []string{mountpoint}
	r := run(t, first)
	wantMounted(t, r, mountpoint)
	server := fuseserver.Serve(r.Dev, fuseserver.Tree{})
	wantCleanedUp(t, helpertest.Start(t, call), server, mountpoint)
}

// The watcher removes the lines in the tables when it unmounts. It has no other
// privilege than that and the unmount.
func TestWatchTables(t *testing.T) {
	for name, path := range map[string]string{"utab": "/run/mount/utab", "mtab": "/etc/mtab"} {
		t.Run(name, func(t *testing.T) {
			const before = "SRC=x TARGET=/else ROOT=/ OPTS=x-y\n"
			if path == "/etc/mtab" {
				setMtabAside(t)
			}
			writeFile(t, path, before)
			t.Cleanup(func() { _ = os.RemoveAll("/run/mount") })
			call, mountpoint := asUser(t)
			call.Args = []string{"-o", "auto_unmount,x-a", mountpoint}
			w := startWatch(t, call, mountpoint)
			waitIgnoring(t, w.Pid())
			if text := helpertest.ReadFile(t, path); !strings.HasPrefix(text, before) || !strings.Contains(text, mountpoint) {
				t.Errorf("%s holds %q", path, text)
			}
			const sysAdminSetIDs = "00000000002000c0"
			if s := status(t, w.Pid()); s["CapPrm"] != sysAdminSetIDs || s["CapEff"] != "0000000000000000" || s["Uid"] != "4242\t4242\t4242\t4242" {
				t.Errorf("CapPrm %s, CapEff %s, Uid %s", s["CapPrm"], s["CapEff"], s["Uid"])
			}
			w.die(t)
			w.wantExit(t, 0)
			wantNothing(t, mountpoint)
			if text := helpertest.ReadFile(t, path); text != before {
				t.Errorf("%s holds %q, want %q", path, text, before)
			}
		})
	}
}

// --auto-unmount removes the line that an earlier call wrote.
func TestWatchAloneTables(t *testing.T) {
	writeFile(t, "/run/mount/utab", "")
	t.Cleanup(func() { _ = os.RemoveAll("/run/mount") })
	call, mountpoint := asUser(t)
	first := call
	first.Args = []string{"-o", "x-a", mountpoint}
	r := run(t, first)
	wantMounted(t, r, mountpoint)
	server := fuseserver.Serve(r.Dev, fuseserver.Tree{})
	call.Args = []string{"--auto-unmount", mountpoint}
	wantCleanedUp(t, helpertest.Start(t, call), server, mountpoint)
	if text := helpertest.ReadFile(t, "/run/mount/utab"); text != "" {
		t.Errorf("utab holds %q", text)
	}
}

// Root's watcher retains only the capabilities that it needs to reach a mountpoint, also
// one in a directory that is closed to others.
func TestWatchRoot(t *testing.T) {
	call, home := asUser(t)
	chmod(t, home, 0o700)
	mountpoint := filepath.Join(home, "m")
	if err := os.Mkdir(mountpoint, 0o755); err != nil {
		t.Fatal(err)
	}
	call.UID, call.GID = 0, 0
	call.Args = []string{"-o", "auto_unmount", mountpoint}
	w := startWatch(t, call, mountpoint)
	waitIgnoring(t, w.Pid())
	if s := status(t, w.Pid()); s["CapPrm"] != "0000000000200004" || s["CapEff"] != "0000000000000004" {
		t.Errorf("CapPrm %s, CapEff %s", s["CapPrm"], s["CapEff"])
	}
	wantFiltered(t, w.Pid())
	w.die(t)
	w.wantExit(t, 0)
	wantNothing(t, mountpoint)
}

// In a stack of the user's own mounts each watcher unmounts its own, if it is topmost,
// and leaves the other.
func TestWatchStack(t *testing.T) {
	lower := watch(t)
	<-lower.server.Ready()
	upper := startWatch(t, lower.call, lower.mountpoint)
	<-upper.server.Ready()
	lower.die(t)
	lower.wantExit(t, 0) // covered: left alone
	if n := len(fusetest.MountsAt(t, lower.mountpoint)); n != 2 {
		t.Errorf("%d mounts, want both", n)
	}
	upper.die(t)
	upper.wantExit(t, 0)
	if n := len(fusetest.MountsAt(t, lower.mountpoint)); n != 1 {
		t.Errorf("%d mounts, want the lower one", n)
	}
	unmount(t, lower.call, lower.mountpoint)
}

// When the daemon dies the path leads to another mount. That one stays, and ours is
// found at its new path.
func TestWatchSwapped(t *testing.T) {
	call, home := asUser(t)
	var dirs []string
	for _, name := range []string{"parent", "parent/m", "other", "other/m"} {
		dir := filepath.Join(home, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, alice, alice); err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, dir)
	}
	mountpoint, victim := dirs[1], dirs[3]
	if err := unix.Mount("roots", victim, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	call.Args = []string{"-o", "auto_unmount", mountpoint}
	w := startWatch(t, call, mountpoint)
	if err := unix.Renameat2(unix.AT_FDCWD, dirs[0], unix.AT_FDCWD, dirs[2], unix.RENAME_EXCHANGE); err != nil {
		t.Fatal(err)
	}
	w.die(t)
	w.wantExit(t, 0)
	if line, found := fusetest.FindMount(t, mountpoint); !found || line.FSType != "tmpfs" {
		t.Errorf("root's mount: %v %+v", found, line)
	}
	wantNothing(t, victim)
}

// maxPrivate bounds the private memory of a watcher, in kB: a machine may have hundreds
// of them for as long as their mounts exist.
const maxPrivate = 1024
