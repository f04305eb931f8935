package conformance

import (
	"context"
	"encoding/binary"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/testsys"
)

// twoPhase is a helper that was started with --sync-init and has sent the
// device.
type twoPhase struct {
	*fusetest.Proc
	call       fusetest.Call
	mountpoint string
	dev        *os.File // until it is served
	server     *fusetest.Server
}

// syncCall prepares a call with --sync-init.
func syncCall(t *testing.T, options string) (fusetest.Call, string) {
	t.Helper()
	call, mountpoint := asUser(t)
	call.Args = []string{"--sync-init", "-o", options, "--", mountpoint}
	return call, mountpoint
}

// startSync runs the first phase.
func startSync(t *testing.T, call fusetest.Call, mountpoint string) *twoPhase {
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
		_ = s.dev.Close() // served or closed by most
		if s.server != nil {
			_ = s.server.Close()
		}
	})
	return s
}

// serve starts the daemon, which asks the kernel to wait for it if it can.
func (s *twoPhase) serve(t *testing.T, opts fusetest.Options) {
	t.Helper()
	if err := fusetest.SyncInit(s.dev); err != nil {
		fusetest.Skip(t, "run a kernel with FUSE_DEV_IOC_SYNC_INIT (Linux 6.18): "+err.Error())
	}
	s.server = fusetest.ServeOptions(s.dev, fusetest.Tree{}, opts)
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

// wantSuccess wants the mount, and takes it away.
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
			// The number of the call that it is in stands first.
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
