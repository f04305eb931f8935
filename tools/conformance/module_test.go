package conformance

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// These tests load and unload the module fuse, so they need a machine of their own
// ('make test-vm'). The environment names the kernel's modules and modprobe's log.
const (
	guestEnv       = "FUSERMOUNT_GUEST_MODULES"
	modprobeLogEnv = "FUSERMOUNT_GUEST_MODPROBE_LOG"
)

func needGuest(t *testing.T) {
	t.Helper()
	if os.Getenv(guestEnv) == "" {
		t.Skip("needs a kernel of its own: run 'make test-vm'")
	}
}

// unloaded prepares a call where fuse is not loaded and has no device, and restores that
// at the end.
func unloaded(t *testing.T) (helpertest.Call, string) {
	t.Helper()
	needGuest(t)
	if _, err := os.Stat(os.Getenv(guestEnv) + "/fuse.ko"); errors.Is(err, fs.ErrNotExist) {
		fusetest.Skip(t, "run a kernel with fuse as a module")
	}
	if strings.Contains(helpertest.ReadFile(t, "/proc/filesystems"), "fuse") {
		t.Fatal("fuse is loaded already")
	}
	_ = os.Remove(os.Getenv(modprobeLogEnv)) // absent before the first request
	t.Cleanup(func() { unload(t) })
	mountpoint := fusetest.Dir(t, alice)
	return helpertest.Call{
		Prog: fusetest.InstallHelper(t, helperProgram(t), fusetest.Setuid), // helpertest.Install wants a device
		UID:  alice, GID: alice, Dir: "/", Args: []string{mountpoint},
	}, mountpoint
}

// unload unloads the module, once the kernel has cleaned up.
func unload(t *testing.T) {
	t.Helper()
	err := unix.DeleteModule("fuse", unix.O_NONBLOCK)
	for deadline := time.Now().Add(fusetest.Patience); errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EBUSY); {
		if time.Now().After(deadline) {
			break
		}
		err = unix.DeleteModule("fuse", unix.O_NONBLOCK)
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		t.Errorf("unload fuse: %v", err)
	}
	if err := os.Remove("/dev/fuse"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// wantLoadedBy wants the kernel, and not the helper, to have called modprobe, once, for
// this name. A thread of the kernel has no command line.
func wantLoadedBy(t *testing.T, name string) {
	t.Helper()
	want := `for "", uid 0: -q -- ` + name + "\n"
	var got []string
	for line := range strings.Lines(helpertest.ReadFile(t, os.Getenv(modprobeLogEnv))) {
		if strings.Contains(line, "fuse") || strings.Contains(line, "char-major-10-") {
			got = append(got, line)
		}
	}
	if len(got) != 1 || got[0] != want {
		t.Errorf("modprobe was called as %q; want %q", got, want)
	}
}

// udev and systemd-tmpfiles make a node at boot, and opening it loads the module.
func TestModuleStaticNode(t *testing.T) {
	call, mountpoint := unloaded(t)
	makeNode(t, "/dev/fuse", fuseMajor, fuseMinor, 0o666)
	wantMounted(t, run(t, call), mountpoint)
	wantLoadedBy(t, "char-major-10-229")
	unmount(t, call, mountpoint)
}

// Without a node the helper has the kernel load the module. The kernel makes the node for
// root alone, and udev changes its mode a moment later.
func TestModuleRules(t *testing.T) {
	call, mountpoint := unloaded(t)
	events := kernelEvents(t)
	p, err := call.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	awaitDevice(t, events)
	if st, err := os.Stat("/dev/fuse"); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the kernel's device: %v, %v", st.Mode(), err)
	}
	awaitSleep(t, p.Pid())
	chmod(t, "/dev/fuse", 0o666)
	r := p.Wait()
	wantMounted(t, r, mountpoint)
	wantLoadedBy(t, "fs-fuse")
	unmount(t, call, mountpoint)
	if err := r.Dev.Close(); err != nil {
		t.Error(err)
	}
}

// kernelEvents receives the events that udev receives.
func kernelEvents(t *testing.T) (socket int) {
	t.Helper()
	socket, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(socket) })
	patience := unix.NsecToTimeval(int64(fusetest.Patience))
	if err := errors.Join(unix.Bind(socket, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}),
		unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience)); err != nil {
		t.Fatal(err)
	}
	return socket
}

func awaitDevice(t *testing.T, events int) {
	t.Helper()
	buf := make([]byte, 8192)
	for {
		n, _, err := unix.Recvfrom(events, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			t.Fatalf("no event for the device: %v", err)
		}
		if bytes.HasPrefix(buf[:n], []byte("add@")) && bytes.Contains(buf[:n], []byte("\x00DEVNAME=fuse\x00")) {
			return
		}
	}
}

// awaitSleep waits until the helper sleeps.
func awaitSleep(t *testing.T, pid int) {
	t.Helper()
	nanosleep := strconv.Itoa(unix.SYS_NANOSLEEP) + " "
	for deadline := time.Now().Add(fusetest.Patience); !strings.HasPrefix(helpertest.ReadFile(t, "/proc/"+strconv.Itoa(pid)+"/syscall"), nanosleep); {
		if time.Now().After(deadline) {
			t.Fatal("the helper does not wait for the device")
		}
	}
}

// The wait is bounded if udev does not change the mode, or the device never appears.
func TestModuleClosedNode(t *testing.T) {
	for name, c := range map[string]struct {
		prepare   func(t *testing.T)
		msg, hint string
	}{
		"closed": {func(*testing.T) {}, "failed to open /dev/fuse: Permission denied", "the module fuse was loaded just now"},
		"absent": {privateDev, absentDevice, "--device /dev/fuse"},
	} {
		t.Run(name, func(t *testing.T) {
			call, mountpoint := unloaded(t)
			c.prepare(t)
			r := run(t, call)
			wantRefusal(t, r, mountpoint, ": "+c.msg)
			wantHint(t, r, c.hint)
			wantLoadedBy(t, "fs-fuse")
		})
	}
}

// The administrator can switch the kernel's module loader off.
func TestModuleLoadingOff(t *testing.T) {
	const setting = "/proc/sys/kernel/modprobe"
	for name, prepare := range map[string]func(t *testing.T){
		"no node": func(*testing.T) {},
		"a node":  func(t *testing.T) { makeNode(t, "/dev/fuse", fuseMajor, fuseMinor, 0o666) },
	} {
		t.Run(name, func(t *testing.T) {
			call, mountpoint := unloaded(t)
			before := helpertest.ReadFile(t, setting)
			writeFile(t, setting, "\n")
			t.Cleanup(func() { writeFile(t, setting, before) })
			prepare(t)
			r := run(t, call)
			wantRefusal(t, r, mountpoint, ": "+absentDevice)
			wantHint(t, r, "loading modules is disabled")
		})
	}
}

// Only the kernel loads the module: the helper runs no program, and opens nothing that is
// not on its list.
func TestModuleRunsNothing(t *testing.T) {
	call, mountpoint := unloaded(t)
	addUsers(t)
	tr := newTracer(t)
	wantRefusal(t, run(t, tr.wrap(call, "alice")), mountpoint, "failed to open /dev/fuse: Permission denied")
	tr.wantQuiet(t, helperPaths(call, mountpoint))
	wantLoadedBy(t, "fs-fuse")
}
