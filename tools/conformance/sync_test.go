package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// The kernel mounts only when the daemon has answered INIT.
func TestSyncInit(t *testing.T) {
	for name, kind := range map[string]fusetest.SocketKind{"stream": fusetest.Stream, "seqpacket": fusetest.Seqpacket} {
		t.Run(name, func(t *testing.T) {
			call, mountpoint := syncCall(t, "fsname=sync,subtype=two")
			call.Socket = kind
			s := startSync(t, call, mountpoint)
			s.serve(t, fusetest.Options{HangBeforeInit: true})
			s.answer(t)
			s.waitCreating(t)
			wantNothing(t, mountpoint)
			s.server.Resume()
			s.wantStatus(t, 0)
			<-s.server.Ready()
			if line, found := fusetest.FindMount(t, mountpoint); !found || line.FSType != "fuse.two" || line.Source != "sync" {
				t.Errorf("mounted %v: %+v", found, line)
			}
			s.wantSuccess(t)
		})
	}
}

// A daemon that asks the kernel for nothing gets its mount all the same.
func TestSyncInitWithoutWaiting(t *testing.T) {
	call, mountpoint := syncCall(t, "")
	s := startSync(t, call, mountpoint)
	s.answer(t)
	s.wantStatus(t, 0)
	s.server = fusetest.Serve(s.dev, fusetest.Tree{})
	s.wantSuccess(t)
}

// Whoever goes away before he answers leaves nothing, also where the helper
// inherited his end of the socket.
func TestSyncInitClosed(t *testing.T) {
	for name, change := range map[string]func(*fusetest.Call){
		"stream":    func(*fusetest.Call) {},
		"seqpacket": func(c *fusetest.Call) { c.Socket = fusetest.Seqpacket },
		"inherited": func(c *fusetest.Call) { c.InheritPeer = true },
		"comm-fd":   func(c *fusetest.Call) { c.NoCommEnv, c.Args = true, append([]string{"--comm-fd", "3"}, c.Args...) },
	} {
		t.Run(name, func(t *testing.T) {
			call, mountpoint := syncCall(t, "auto_unmount")
			change(&call)
			s := startSync(t, call, mountpoint)
			if err := s.CloseSocket(); err != nil {
				t.Fatal(err)
			}
			s.wantFailed(t, "mount given up: the caller closed the socket")
		})
	}
}

// A daemon that dies while the kernel waits for it is noticed.
func TestSyncInitDaemonDies(t *testing.T) {
	for name, opts := range map[string]fusetest.Options{
		"before it reads": {HangBeforeInit: true},
		"after it reads":  {HoldInit: true},
	} {
		t.Run(name, func(t *testing.T) {
			call, mountpoint := syncCall(t, "")
			s := startSync(t, call, mountpoint)
			s.serve(t, opts)
			s.answer(t)
			child := s.waitCreating(t)
			if opts.HoldInit {
				for deadline := time.Now().Add(fusetest.Patience); s.server.Count(fusetest.OpInit) == 0; {
					if time.Now().After(deadline) {
						t.Fatal("INIT was not read")
					}
				}
			}
			if err := s.server.Close(); err != nil {
				t.Error(err)
			}
			if err := s.CloseSocket(); err != nil {
				t.Fatal(err)
			}
			s.wantFailed(t, "mount given up: the caller closed the socket")
			wantGone(t, child)
		})
	}
}

// A helper that is killed while the kernel waits takes its child along.
func TestSyncInitKilled(t *testing.T) {
	call, mountpoint := syncCall(t, "")
	s := startSync(t, call, mountpoint)
	s.serve(t, fusetest.Options{HangBeforeInit: true})
	s.answer(t)
	child := s.waitCreating(t)
	if err := s.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if r := s.Wait(); r.Signal != unix.SIGKILL {
		t.Errorf("exit %d: %s", r.Exit, r.Stderr)
	}
	wantGone(t, child)
	wantNothing(t, mountpoint)
}

// The mount lies on what was pinned, whatever lies at its path by then.
func TestSyncInitSwapped(t *testing.T) {
	call, home := asUser(t)
	dir := func(path string, uid int) string {
		path = filepath.Join(home, path)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, uid, uid); err != nil {
			t.Fatal(err)
		}
		return path
	}
	parent, mountpoint := dir("parent", alice), dir("parent/m", alice)
	other := dir("other", 0)
	dir("other/m", 0)
	call.Args = []string{"--sync-init", "--", mountpoint}
	s := startSync(t, call, mountpoint)
	if err := unix.Renameat2(unix.AT_FDCWD, parent, unix.AT_FDCWD, other, unix.RENAME_EXCHANGE); err != nil {
		t.Fatal(err)
	}
	s.serve(t, fusetest.Options{})
	s.answer(t)
	s.wantStatus(t, 0)
	wantNothing(t, mountpoint)
	s.mountpoint = filepath.Join(other, "m")
	s.wantSuccess(t)
}

// childrenOf gives the process ids of a process' children.
func childrenOf(t *testing.T, pid int) []string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil // it has ended
	}
	return strings.Fields(string(text))
}

// wantGone wants a process to end.
func wantGone(t *testing.T, pid string) {
	t.Helper()
	for deadline := time.Now().Add(fusetest.Patience); time.Now().Before(deadline); {
		text, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || strings.Contains(string(text), ") Z ") {
			return
		}
	}
	t.Errorf("process %s is still there", pid)
}
