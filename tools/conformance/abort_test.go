package conformance

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// Who waits for a hung daemon is let go, and the mount is gone.
func TestAbort(t *testing.T) {
	for read, deny := range waysToRead {
		t.Run(read, func(t *testing.T) {
			call, _ := asUser(t)
			fusetest.Control(t)
			mountpoint, s := serveMount(t, call, "subtype=demo")
			beside, other := serveMount(t, call, "")
			answer := hang(t, mountpoint, s)
			call.Deny = deny
			if r := ctl(t, call, "abort", mountpoint); r.Exit != 0 || r.Stderr != "" || r.Stdout != "" {
				t.Fatalf("exit %d, %q, %q", r.Exit, r.Stdout, r.Stderr)
			}
			wantNothing(t, mountpoint)
			select {
			case err := <-answer:
				if !errors.Is(err, unix.ECONNABORTED) && !errors.Is(err, unix.ENOTCONN) {
					t.Errorf("who waited got %v", err)
				}
			case <-time.After(blink):
				t.Fatal("a process still waits")
			}
			wantEnded(t, s)
			if len(s.Asked()) != 1 {
				t.Errorf("the daemon was asked: %v", s.Asked())
			}
			wantAlive(t, beside)
			if err := other.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// wantEnded wants a daemon to have lost its connection.
func wantEnded(t *testing.T, s *fuseserver.Server) {
	t.Helper()
	select {
	case <-s.Done():
		if err := s.Wait(); err != nil {
			t.Errorf("the daemon: %v", err)
		}
	case <-time.After(blink):
		t.Error("the daemon still has a connection")
	}
}

func wantAlive(t *testing.T, mountpoint string) {
	t.Helper()
	err := fusetest.AsUser(alice, alice, func() error {
		_, err := os.ReadFile(filepath.Join(mountpoint, "hello"))
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// What -u -z would refuse is refused before the connection is cut off.
func TestAbortRefused(t *testing.T) {
	call, _ := asUser(t)
	fusetest.Control(t)
	theirs := call
	theirs.UID, theirs.GID = bob, bob
	writeFile(t, "/etc/fuse.conf", "user_allow_other\n")
	t.Cleanup(func() { _ = os.Remove("/etc/fuse.conf") })
	mountpoint, s := serveMount(t, call, "allow_other")
	for name, c := range map[string]struct {
		call       helpertest.Call
		mountpoint string
		text, hint string
	}{
		"another user's": {theirs, mountpoint, "entry for " + mountpoint + " not found in /etc/mtab", "mounted by user 4242"},
		"not FUSE":       {call, "/proc", "entry for /proc not found in /etc/mtab", "of type proc"},
		"no mount":       {call, mountpoint + "/nosuch", "entry for " + mountpoint + "/nosuch not found", ""},
	} {
		r := ctl(t, c.call, "abort", c.mountpoint)
		if r.Exit != 1 || !strings.Contains(r.Stderr, c.text) || !strings.Contains(r.Stderr, c.hint) {
			t.Errorf("%s: exit %d, %q", name, r.Exit, r.Stderr)
		}
	}
	if err := unix.Mount("/etc/passwd", mountpoint+"/hello", "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if r := ctl(t, call, "abort", mountpoint); r.Exit != 1 || !strings.Contains(r.Stderr, "that is not yours lies inside") {
		t.Errorf("exit %d, %q", r.Exit, r.Stderr)
	}
	if err := unix.Unmount(mountpoint+"/hello", unix.UMOUNT_NOFOLLOW); err != nil {
		t.Fatal(err)
	}
	wantAlive(t, mountpoint)
	root := call
	root.KeepRoot = true
	if r := ctl(t, root, "abort", mountpoint); r.Exit != 0 || r.Stderr != "" {
		t.Errorf("root: exit %d, %q", r.Exit, r.Stderr)
	}
	wantNothing(t, mountpoint)
	wantEnded(t, s)
}

// Without fusectl nothing is done, and the words say what would help.
func TestAbortWithoutFusectl(t *testing.T) {
	call, _ := asUser(t)
	mountpoint, _ := serveMount(t, call, "")
	r := ctl(t, call, "abort", mountpoint)
	if r.Exit != 1 || !strings.Contains(r.Stderr, "failed to abort the connection of "+mountpoint+": fusectl is not mounted at /sys/fs/fuse/connections\n") {
		t.Errorf("exit %d, %q", r.Exit, r.Stderr)
	}
	wantHint(t, r, "mount -t fusectl fusectl /sys/fs/fuse/connections; or end the program that serves it")
	wantAlive(t, mountpoint)
}

// A dead one can be aborted, too, and a file system on a block device, whose
// number is not its minor alone.
func TestAbortOthers(t *testing.T) {
	call, _ := asUser(t)
	fusetest.Control(t)
	mountpoint, s := serveMount(t, call, "")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if r := ctl(t, call, "abort", mountpoint); r.Exit != 0 || r.Stderr != "" {
		t.Errorf("exit %d, %q", r.Exit, r.Stderr)
	}
	wantNothing(t, mountpoint)

	image := filepath.Join(fusetest.Dir(t, 0), "image")
	if err := os.WriteFile(image, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", "-f", "--show", image).CombinedOutput()
	device := strings.TrimSpace(string(out))
	if err != nil {
		fusetest.Skip(t, "have loop devices: "+device)
	}
	t.Cleanup(func() {
		if err := exec.Command("losetup", "-d", device).Run(); err != nil {
			t.Error(err)
		}
	})
	root := call
	root.KeepRoot, root.UID, root.GID = true, 0, 0
	mountpoint, s = serveMount(t, root, "blkdev,fsname="+device)
	if r := ctl(t, root, "abort", mountpoint); r.Exit != 0 || r.Stderr != "" {
		t.Errorf("exit %d, %q", r.Exit, r.Stderr)
	}
	wantNothing(t, mountpoint)
	wantEnded(t, s)
}
