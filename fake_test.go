//go:build linux

package fusermount_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// fakePrefix begins the name under which this program is a helper that
// misbehaves.
const fakePrefix = "fake-"

// fakes are these helpers; each gives its exit status.
var fakes = map[string]func() int{
	"hang":       func() int { return hang() },
	"hang-child": fakeHangChild,
	"nothing":    func() int { return 0 },
	"mute":       func() int { return 3 },
	"die":        func() int { return die() },
	"flood":      func() int { return fakeFlood() },
	"endless":    func() int { return fakeEndless() },
	"held":       fakeHeld,

	"byte":      func() int { return send(nil) },
	"two":       func() int { return send([]int{openDevice(), openDevice()}) },
	"twice":     func() int { device := mountIt(); return send([]int{device}) + send([]int{device}) },
	"null":      func() int { return send([]int{openFile("/dev/null")}) },
	"unmounted": func() int { return send([]int{openDevice()}) },

	"elsewhere": fakeElsewhere,

	"umount-fail": fakeUnmount,

	"mount-die":  func() int { mountIt(); return die() },
	"mount-hang": func() int { mountIt(); return hang() },
	"send-die":   func() int { send([]int{mountIt()}); return die() },
	"send-fail":  func() int { send([]int{mountIt()}); return 1 },
	"send-hang":  func() int { send([]int{mountIt()}); return hang() },
	"send-child": func() int { send([]int{mountIt()}); return fakeHangChild() },
	"send-flood": func() int { send([]int{mountIt()}); return fakeEndless() },
	"send-speak": fakeSpeak,

	"sync-silent": func() int { return twoPhases(func(int) int { return hang() }) },
	"sync-end":    func() int { return twoPhases(func(int) int { return 0 }) },
	"sync-short":  func() int { return twoPhases(func(int) int { return write([]byte{0, 0}) }) },
	"sync-error":  func() int { return twoPhases(func(int) int { return write(status(unix.ENODEV)) + 1 }) },
	"sync-fail":   func() int { return twoPhases(func(device int) int { return mountAndSay(device) + 1 }) },
	"sync-hang":   func() int { return twoPhases(func(device int) int { return mountAndSay(device) + hang() }) },
	"sync-lie":    func() int { return twoPhases(func(int) int { return write(make([]byte, 4)) }) },
}

func runFake(name string) int {
	fake, ok := fakes[name]
	if len(os.Args) > 1 && os.Args[1] == "-u" && name != "hang" && name != "elsewhere" && name != "umount-fail" {
		return 1
	}
	if !ok {
		fmt.Fprintln(os.Stderr, "no such fake:", name)
		return 99
	}
	return fake()
}

// fakeHelper gives the path of such a helper.
func fakeHelper(t *testing.T, name string) string {
	t.Helper()
	fusetest.NeedDevice(t)
	if _, ok := fakes[name]; !ok {
		t.Fatalf("no fake %q", name)
	}
	program := fusetest.InstallHelper(t, "/proc/self/exe", fusetest.Plain)
	path := filepath.Join(filepath.Dir(program), fakePrefix+name)
	if err := os.Symlink(program, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func hang() int {
	time.Sleep(time.Hour)
	return 0
}

func die() int {
	if err := unix.Kill(os.Getpid(), unix.SIGKILL); err != nil {
		return 98
	}
	return hang()
}

// fakeHangChild is a wrapper that waits for a child that hangs.
func fakeHangChild() int {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args[0] = fakePrefix + "hang"
	cmd.Stderr = os.Stderr
	if cmd.Run() != nil {
		return 1
	}
	return 0
}

// fakeHeld ends, and leaves its streams and the socket to a child that goes on
// for a while.
func fakeHeld() int {
	cmd := exec.Command("sleep", "1")
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{os.NewFile(3, "socket")}
	if err := cmd.Start(); err != nil {
		return 98
	}
	fmt.Fprintln(os.Stderr, os.Args[0]+": mount failed: Invalid argument")
	return 1
}

// fakeElsewhere is a wrapper that leads into another mount namespace, which lives
// a while longer, and unmounts there.
func fakeElsewhere() int {
	if os.Args[1] == "-u" {
		return 0
	}
	runtime.LockOSThread()
	if err := errors.Join(unix.Unshare(unix.CLONE_FS|unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 98
	}
	device := mountIt()
	if err := exec.Command("sleep", "1").Start(); err != nil {
		return 98
	}
	return send([]int{device})
}

// fakeUnmount is a wrapper that ends badly after it has unmounted.
func fakeUnmount() int {
	if err := unix.Unmount(os.Args[len(os.Args)-1], 0); err != nil {
		return 98
	}
	return 1
}

func fakeFlood() int {
	for range 1000 {
		fmt.Fprintln(os.Stderr, strings.Repeat("flood ", 1000))
	}
	fmt.Fprintln(os.Stderr, "fusermount3: mount failed: No such device")
	return 1
}

func fakeEndless() int {
	for {
		fmt.Fprintln(os.Stderr, strings.Repeat("flood ", 1000))
	}
}

func openFile(path string) int {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		fmt.Fprintln(os.Stderr, path, err)
		os.Exit(97)
	}
	return fd
}

func openDevice() int { return openFile(fusetest.DevicePath) }

// mountIt mounts on the last argument, as a helper would.
func mountIt() int {
	device := openDevice()
	mountOn(device)
	return device
}

// mountOn mounts with a device.
func mountOn(device int) {
	data := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d", device, os.Getuid(), os.Getgid())
	if err := unix.Mount(fusetest.DevicePath, os.Args[len(os.Args)-1], "fuse", unix.MS_NOSUID|unix.MS_NODEV, data); err != nil {
		fmt.Fprintln(os.Stderr, "mount:", err)
		os.Exit(97)
	}
}

// fakeSpeak says something before and after it has sent the device, and hands over a
// second one.
func fakeSpeak() int {
	fmt.Fprintln(os.Stderr, os.Args[0]+": warning: before")
	device := mountIt()
	if status := send([]int{device}); status != 0 {
		return status
	}
	for unix.Sendmsg(socket(), []byte{0}, unix.UnixRights(device), nil, unix.MSG_NOSIGNAL) == nil {
	}
	fmt.Fprintln(os.Stderr, os.Args[0]+": warning: after") // the caller has hung up
	return 0
}

func socket() int {
	fd, err := strconv.Atoi(os.Getenv("_FUSE_COMMFD"))
	if err != nil {
		os.Exit(96)
	}
	return fd
}

// send sends one byte with descriptors.
func send(fds []int) int {
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	if err := unix.Sendmsg(socket(), []byte{0}, rights, nil, unix.MSG_NOSIGNAL); err != nil {
		return 95
	}
	return 0
}

func write(b []byte) int {
	if n, err := unix.Write(socket(), b); err != nil || n != len(b) {
		return 95
	}
	return 0
}

// mountAndSay is the second phase of a mount.
func mountAndSay(device int) int {
	mountOn(device)
	return write(status(0))
}

func status(errno unix.Errno) []byte {
	return binary.NativeEndian.AppendUint32(nil, uint32(-int32(errno)))
}

// twoPhases sends a device before there is a mount, and waits for the answer.
func twoPhases(then func(device int) int) int {
	if os.Args[1] != "--sync-init" {
		return 94
	}
	device := openDevice()
	if status := send([]int{device}); status != 0 {
		return status
	}
	if n, err := unix.Read(socket(), make([]byte, 1)); err != nil || n != 1 {
		return 95
	}
	return then(device)
}
