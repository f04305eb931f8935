package conformance

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// What stands in the tables is taken out when the watcher unmounts, and the
// right to do so is all that the watcher has besides.
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

// --auto-unmount takes out what an earlier call wrote.
func TestWatchAloneTables(t *testing.T) {
	writeFile(t, "/run/mount/utab", "")
	t.Cleanup(func() { _ = os.RemoveAll("/run/mount") })
	call, mountpoint := asUser(t)
	first := call
	first.Args = []string{"-o", "x-a", mountpoint}
	r := run(t, first)
	wantMounted(t, r, mountpoint)
	server := fusetest.Serve(r.Dev, fusetest.Tree{})
	call.Args = []string{"--auto-unmount", mountpoint}
	p, err := call.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	waitIgnoring(t, p.Pid())
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if err := p.CloseSocket(); err != nil {
		t.Error(err)
	}
	if r := p.Wait(); r.Exit != 0 {
		t.Errorf("exit %d: %s", r.Exit, r.Stderr)
	}
	wantNothing(t, mountpoint)
	if text := helpertest.ReadFile(t, "/run/mount/utab"); text != "" {
		t.Errorf("utab holds %q", text)
	}
}

// Root's watcher keeps of his rights no more than it takes to reach a
// mountpoint, also one in a directory that is closed to others.
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

// A bind mount of ours elsewhere stays: it is not the mount that is watched.
func TestWatchBound(t *testing.T) {
	w := watch(t)
	<-w.server.Ready()
	elsewhere := fusetest.Dir(t, alice)
	if err := unix.Mount(w.mountpoint, elsewhere, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	w.die(t)
	w.wantExit(t, 0)
	wantNothing(t, w.mountpoint)
	wantThere(t, elsewhere)
}

// A stack of the user's own mounts: each watcher takes its own, when it is
// topmost, and leaves the other.
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

// The path leads elsewhere when the daemon dies: what lies there is not
// touched, and our mount is found where it went.
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

// maxPrivate is what a watcher may have to itself, in kB: a machine may have
// hundreds of them, for as long as their mounts are there.
const maxPrivate = 1024

// Two hundred at once (20 with -short): what each has to itself.
func TestWatchMany(t *testing.T) {
	call, _ := asUser(t)
	var all []*watched
	watchers := rounds(200)
	for range watchers { // of one program, so that its pages are shared
		mountpoint := fusetest.Dir(t, alice)
		call.Args = []string{"-o", "auto_unmount", mountpoint}
		all = append(all, startWatch(t, call, mountpoint))
	}
	most, sum := 0, 0
	for _, w := range all {
		waitIgnoring(t, w.Pid())
		private := helpertest.PrivateMemory(t, w.Pid())
		most, sum = max(most, private), sum+private
	}
	figures = fmt.Sprintf("%d watchers: private memory %d kB at most, %d kB on average", len(all), most, sum/len(all))
	if most > maxPrivate {
		t.Errorf("%s; want %d kB at most", figures, maxPrivate)
	}
	for _, w := range all {
		w.die(t)
	}
	for _, w := range all {
		w.wantExit(t, 0)
		wantNothing(t, w.mountpoint)
	}
}

// The socket may be a standard stream: it stays, and the other streams go.
func TestWatchOnStream(t *testing.T) {
	for fd := range 3 {
		for _, args := range [][]string{{}, {"--sync-init"}} {
			call, mountpoint := asUser(t)
			call.CommFD, call.CommStdin = fd, fd == 0
			call.Args = append(args, "-o", "auto_unmount", mountpoint)
			if len(args) == 0 {
				w := startWatch(t, call, mountpoint)
				wantStreams(t, w.Pid(), fd)
				w.die(t)
				w.wantExit(t, 0)
			} else {
				s := startSync(t, call, mountpoint)
				s.answer(t)
				s.wantStatus(t, 0)
				wantStreams(t, s.Pid(), fd)
				if err := errors.Join(s.dev.Close(), s.CloseSocket()); err != nil {
					t.Fatal(err)
				}
				if r := s.Wait(); r.Exit != 0 {
					t.Errorf("exit %d", r.Exit)
				}
			}
			wantNothing(t, mountpoint)
		}
	}
}

// wantStreams wants three descriptors: the socket, and nothing.
func wantStreams(t *testing.T, pid, socket int) {
	t.Helper()
	waitIgnoring(t, pid)
	links := helpertest.Descriptors(t, pid)
	if len(links) != 3 {
		t.Fatalf("descriptors %v", links)
	}
	for fd, link := range links {
		if isSocket := strings.HasPrefix(link, "socket:"); isSocket != (fd == socket) || (!isSocket && link != os.DevNull) {
			t.Errorf("descriptor %d is %s", fd, link)
		}
	}
}
