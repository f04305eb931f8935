package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

const (
	absentDevice = "fuse device /dev/fuse not found. Kernel module not loaded?"
	fuseMajor    = 10
	fuseMinor    = 229
)

// privateDev mounts a /dev over the test's own that has only null.
func privateDev(t *testing.T) {
	t.Helper()
	if err := unix.Mount("dev", "/dev", "tmpfs", 0, "mode=0755"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount("/dev", unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	makeNode(t, os.DevNull, 1, 3, 0o666)
}

func makeNode(t *testing.T, path string, major, minor uint32, mode uint32) {
	t.Helper()
	if err := unix.Mknod(path, unix.S_IFCHR|mode, int(unix.Mkdev(major, minor))); err != nil {
		t.Fatalf("mknod %s: %v", path, err)
	}
	if err := os.Chmod(path, os.FileMode(mode)); err != nil {
		t.Fatal(err)
	}
}

// unusedNumber returns the largest number below 256 with which no line of a table
// begins. The kernel assigns the small ones.
func unusedNumber(t *testing.T, table string) uint32 {
	t.Helper()
	text, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	for n := uint32(254); n > 0; n-- {
		if !regexp.MustCompile(fmt.Sprintf(`(?m)^ *%d `, n)).Match(text) {
			return n
		}
	}
	t.Fatalf("%s names every number", table)
	return 0
}

func wantHint(t *testing.T, r helpertest.Result, text string) {
	t.Helper()
	if _, hint, found := strings.Cut(r.Stderr, ": hint: "); !found || !strings.Contains(hint, text) {
		t.Errorf("hint: %q; want %q", r.Stderr, text)
	}
}

func TestNoDevice(t *testing.T) {
	for name, c := range map[string]struct {
		device    func(t *testing.T)
		msg, hint string
	}{
		"absent": {func(*testing.T) {}, absentDevice, "--device /dev/fuse"},
		"no such minor": {func(t *testing.T) {
			makeNode(t, "/dev/fuse", fuseMajor, unusedNumber(t, "/proc/misc"), 0o666)
		}, absentDevice, "--device /dev/fuse"},
		"no such major": {func(t *testing.T) {
			makeNode(t, "/dev/fuse", unusedNumber(t, "/proc/devices"), 0, 0o666)
		}, absentDevice, "--device /dev/fuse"},
		"link to nowhere": {func(t *testing.T) {
			if err := os.Symlink("nowhere", "/dev/fuse"); err != nil {
				t.Fatal(err)
			}
		}, absentDevice, "--device /dev/fuse"},
		"closed": {func(t *testing.T) {
			makeNode(t, "/dev/fuse", fuseMajor, fuseMinor, 0o600)
		}, "failed to open /dev/fuse: Permission denied", "/dev/fuse is closed to you"},
		"for another group": {func(t *testing.T) {
			makeNode(t, "/dev/fuse", fuseMajor, fuseMinor, 0o660)
		}, "failed to open /dev/fuse: Permission denied", "a group that you would have to be in"},
		"another": {func(t *testing.T) {
			makeNode(t, "/dev/fuse", 1, 3, 0o666)
		}, "mount failed: Invalid argument", "/dev/fuse is not the fuse device; as root: rm /dev/fuse && mknod -m 666 /dev/fuse c 10 229"},
	} {
		t.Run(name, func(t *testing.T) {
			call, mountpoint := asUser(t)
			privateDev(t)
			c.device(t)
			r := run(t, call)
			wantRefusal(t, r, mountpoint, ": "+c.msg)
			wantHint(t, r, c.hint)
		})
	}
}

// Without /proc, the message claims nothing about the kernel.
func TestNoDeviceNoProc(t *testing.T) {
	call, mountpoint := asUser(t)
	privateDev(t)
	r := withoutProc(t, call)
	wantRefusal(t, r, mountpoint, ": "+absentDevice)
	wantHint(t, r, "whether the kernel has FUSE shows when /proc is mounted")
}

// A device that one group may open is opened for its members.
func TestDeviceGroup(t *testing.T) {
	const group = 4747
	call, mountpoint := asUser(t)
	privateDev(t)
	makeNode(t, "/dev/fuse", fuseMajor, fuseMinor, 0o660)
	if err := os.Chown("/dev/fuse", 0, group); err != nil {
		t.Fatal(err)
	}
	call.Groups = []uint32{group}
	for way, deny := range waysToMount {
		call.Deny = deny
		wantMounted(t, run(t, call), mountpoint)
		unmount(t, call, mountpoint)
		t.Log(way)
	}
}

// The caller of a setuid helper does not choose the device.
func TestDeviceFromEnvironment(t *testing.T) {
	call, mountpoint := asUser(t)
	call.Env = []string{"FUSE_KERN_DEVICE=/dev/null"}
	wantMounted(t, run(t, call), mountpoint)
	unmount(t, call, mountpoint)

	privateDev(t)
	makeNode(t, "/dev/other", fuseMajor, fuseMinor, 0o666)
	for _, device := range []string{"/dev/other", "/dev/../dev/other", "other", ""} {
		call.Env = []string{"FUSE_KERN_DEVICE=" + device}
		call.Dir = "/dev"
		wantRefusal(t, run(t, call), mountpoint, absentDevice)
	}
}

// A caller who gets no privileges from the program may choose a device below /dev.
func TestDeviceOfRoot(t *testing.T) {
	call, mountpoint := asUser(t)
	call.KeepRoot = true
	privateDev(t)
	makeNode(t, "/dev/other", fuseMajor, fuseMinor, 0o600)
	call.Env = []string{"FUSE_KERN_DEVICE=/dev/other"}
	wantMounted(t, run(t, call), mountpoint)
	if line, _ := fusetest.FindMount(t, mountpoint); line.Source != "/dev/other" {
		t.Errorf("source %q", line.Source)
	}
	unmount(t, call, mountpoint)
	for _, device := range []string{"/dev/../other", "other", "/"} {
		call.Env = []string{"FUSE_KERN_DEVICE=" + device}
		wantRefusal(t, run(t, call), mountpoint, absentDevice)
	}
}

// Errors in the caller's arguments come first, then those of the device, then those of
// fuse.conf and the options.
func TestDeviceOrder(t *testing.T) {
	call, mountpoint := asUser(t)
	privateDev(t)
	absent := filepath.Join(mountpoint, "absent")
	call.Args = []string{absent}
	wantRefusal(t, run(t, call), mountpoint, "failed to access mountpoint "+absent+": No such file or directory")
	below := filepath.Join(absent, "x")
	call.Args = []string{below}
	wantRefusal(t, run(t, call), mountpoint, "bad mount point "+below+": No such file or directory")

	writeFile(t, "/etc/fuse.conf", "mount_max = 0\n")
	t.Cleanup(func() { _ = os.Remove("/etc/fuse.conf") })
	for _, args := range [][]string{{mountpoint}, {"-o", "nosuchoption", mountpoint}, {"-o", "allow_other", mountpoint}} {
		call.Args = args
		wantRefusal(t, run(t, call), mountpoint, absentDevice)
	}
	// A path that cannot be a mountpoint is refused after the device.
	call.Args = []string{"/proc"}
	wantRefusal(t, run(t, call), mountpoint, absentDevice)
}
