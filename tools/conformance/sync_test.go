package conformance

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
	"github.com/go-fusermount/fusermount/internal/fusetest/testsys"
)

// The kernel mounts only when the daemon has answered INIT.
func TestSyncInit(t *testing.T) {
	for name, kind := range map[string]helpertest.SocketKind{"stream": helpertest.Stream, "seqpacket": helpertest.Seqpacket} {
		t.Run(name, func(t *testing.T) {
			call, mountpoint := syncCall(t, "fsname=sync,subtype=two")
			call.Socket = kind
			s := startSync(t, call, mountpoint)
			s.serve(t, fuseserver.Options{HangBeforeInit: true})
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

// A daemon that does not use FUSE_DEV_IOC_SYNC_INIT gets its mount all the same.
func TestSyncInitWithoutWaiting(t *testing.T) {
	call, mountpoint := syncCall(t, "")
	s := startSync(t, call, mountpoint)
	s.answer(t)
	s.wantStatus(t, 0)
	s.server = fuseserver.Serve(s.dev, fuseserver.Tree{})
	s.wantSuccess(t)
}

// A caller that ends before it answers leaves nothing, also where the helper has
// inherited the caller's end of the socket.
func TestSyncInitClosed(t *testing.T) {
	for name, change := range map[string]func(*helpertest.Call){
		"stream":    func(*helpertest.Call) {},
		"seqpacket": func(c *helpertest.Call) { c.Socket = helpertest.Seqpacket },
		"inherited": func(c *helpertest.Call) { c.InheritPeer = true },
		"comm-fd":   func(c *helpertest.Call) { c.NoCommEnv, c.Args = true, append([]string{"--comm-fd", "3"}, c.Args...) },
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
	for name, opts := range map[string]fuseserver.Options{
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
				for deadline := time.Now().Add(fusetest.Patience); s.server.Count(fuseserver.OpInit) == 0; {
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

// When the helper is killed while the kernel waits, its child ends, too.
func TestSyncInitKilled(t *testing.T) {
	call, mountpoint := syncCall(t, "")
	s := startSync(t, call, mountpoint)
	s.serve(t, fuseserver.Options{HangBeforeInit: true})
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

// The mount lies on the directory that was pinned, whatever is at its path by then.
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
	s.serve(t, fuseserver.Options{})
	s.answer(t)
	s.wantStatus(t, 0)
	wantNothing(t, mountpoint)
	s.mountpoint = filepath.Join(other, "m")
	s.wantSuccess(t)
}

// childrenOf returns the process ids of a process' children.
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

// twoPhase is a helper with --sync-init that has sent the device.
type twoPhase struct {
	*helpertest.Proc
	call       helpertest.Call
	mountpoint string
	dev        *os.File // until it is served
	server     *fuseserver.Server
}

// syncCall prepares a call with --sync-init.
func syncCall(t *testing.T, options string) (helpertest.Call, string) {
	t.Helper()
	call, mountpoint := asUser(t)
	call.Args = []string{"--sync-init", "-o", options, "--", mountpoint}
	return call, mountpoint
}

// startSync runs the first phase.
func startSync(t *testing.T, call helpertest.Call, mountpoint string) *twoPhase {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	t.Cleanup(cancel)
	p, err := call.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Receive(time.Now().Add(fusetest.Patience))
	if err != nil || got.NFDs != 1 || string(got.Bytes) != "\x00" {
		t.Fatalf("%+v, %v: %s", got, err, p.Wait().Stderr)
	}
	wantNothing(t, mountpoint)
	s := &twoPhase{Proc: p, call: call, mountpoint: mountpoint, dev: got.Dev}
	t.Cleanup(func() {
		_ = s.dev.Close() // most tests have served or closed it
		if s.server != nil {
			_ = s.server.Close()
		}
	})
	return s
}

// serve starts the daemon, which has the kernel wait for INIT if it can.
func (s *twoPhase) serve(t *testing.T, opts fuseserver.Options) {
	t.Helper()
	if err := fusetest.SyncInit(s.dev); err != nil {
		fusetest.Skip(t, "run a kernel with FUSE_DEV_IOC_SYNC_INIT (Linux 6.18): "+err.Error())
	}
	s.server = fuseserver.ServeOptions(s.dev, fuseserver.Tree{}, opts)
}

// answer sends the byte.
func (s *twoPhase) answer(t *testing.T) {
	t.Helper()
	if err := s.Send([]byte{0}); err != nil {
		t.Fatalf("%v: %+v", err, s.Wait())
	}
}

// wantStatus wants the four bytes.
func (s *twoPhase) wantStatus(t *testing.T, want unix.Errno) {
	t.Helper()
	got, err := s.Receive(time.Now().Add(fusetest.Patience))
	if err != nil || len(got.Bytes) != 4 || got.NFDs != 0 {
		t.Fatalf("status: %+v, %v: %s", got, err, s.Wait().Stderr)
	}
	if status := int32(binary.NativeEndian.Uint32(got.Bytes)); status != -int32(want) {
		t.Errorf("status %d, want %d", status, -int32(want))
	}
}

// wantFailed wants exit 1 with one line that has text, and nothing mounted.
func (s *twoPhase) wantFailed(t *testing.T, text string) {
	t.Helper()
	r := s.Wait()
	first, rest, _ := strings.Cut(r.Stderr, "\n")
	if r.Exit != 1 || !strings.Contains(first, text) || (rest != "" && !strings.Contains(rest, ": hint: ")) {
		t.Errorf("exit %d, signal %v, %v: %q; want 1, %q", r.Exit, r.Signal, r.Err, r.Stderr, text)
	}
	wantNothing(t, s.mountpoint)
}

// wantSuccess wants the mount, and unmounts it.
func (s *twoPhase) wantSuccess(t *testing.T) {
	t.Helper()
	if r := s.Wait(); r.Exit != 0 || r.Stderr != "" || len(r.Bytes) != 0 {
		t.Errorf("exit %d, %q, %d bytes more", r.Exit, r.Stderr, len(r.Bytes))
	}
	line, found := fusetest.FindMount(t, s.mountpoint)
	if !found || !line.HasOption("nosuid") || !line.HasOption("nodev") {
		t.Errorf("mounted %v: %+v", found, line)
	}
	unmount(t, s.call, s.mountpoint)
}

// waitCreating waits until the helper has the kernel create the file system,
// in a child of its own.
func (s *twoPhase) waitCreating(t *testing.T) (child string) {
	t.Helper()
	for deadline := time.Now().Add(fusetest.Patience); time.Now().Before(deadline); {
		if children := childrenOf(t, s.Pid()); len(children) == 1 {
			// The file begins with the number of the system call.
			text, err := os.ReadFile("/proc/" + children[0] + "/syscall")
			nr, ok := testsys.SyscallNumber("fsconfig")
			if err == nil && ok && strings.HasPrefix(string(text), strconv.FormatUint(uint64(nr), 10)+" ") {
				return children[0]
			}
		}
	}
	t.Fatal("no child waits in fsconfig")
	return ""
}
