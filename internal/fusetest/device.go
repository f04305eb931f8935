package fusetest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest/testsys"
)

// DevicePath is the usual path of the fuse device.
const DevicePath = "/dev/fuse"

// deviceRemedy says why there is no fuse device, empty if there is one.
var deviceRemedy string

// OpenDevice opens the fuse device. The file is not registered with the runtime's poller,
// since after [SyncInit] a poll of the device waits for the mount, and would block the
// poller.
func OpenDevice() (*os.File, error) {
	fd, err := unix.Open(DevicePath, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: DevicePath, Err: err}
	}
	return os.NewFile(uintptr(fd), DevicePath), nil
}

// SyncInit has the kernel send INIT while the file system is created, and the creation
// wait for the answer. Call it before the mount; a server may start right after it.
// Kernels before 6.18 return ENOTTY.
func SyncInit(dev *os.File) error {
	raw, err := dev.SyscallConn()
	if err != nil {
		return fmt.Errorf("fuse device: %w", err)
	}
	var errno unix.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, ioctlSyncInit, 0)
	})
	if errno != 0 {
		err = errno
	}
	return os.NewSyscallError("ioctl", err)
}

// ioctlSyncInit is FUSE_DEV_IOC_SYNC_INIT, _IO(229, 3). The encoding of _IO differs by
// architecture, so it is taken from _IO(0x12, 95).
const ioctlSyncInit = unix.BLKRRPART&^0xffff | 229<<8 | 3

// setupDevice mounts a node that everybody may open over /dev/fuse. If that fails, it
// tries the existing one. It returns the remedy if neither works.
func setupDevice() (remedy string) {
	if _, err := os.Stat(DevicePath); err != nil {
		return "load the fuse module (modprobe fuse), or give the container its device: " + err.Error()
	}
	nodeErr := replaceDevice(filepath.Join(stageDir, "fuse"))
	dev, err := OpenDevice()
	if err != nil {
		return fmt.Sprintf("run as root, or chmod 0666 %s: %v", DevicePath, errors.Join(err, nodeErr))
	}
	testsys.MustClose(dev)
	return ""
}

func replaceDevice(node string) error {
	if err := unix.Mknod(node, unix.S_IFCHR|0o666, int(unix.Mkdev(10, 229))); err != nil {
		return &os.PathError{Op: "mknod", Path: node, Err: err}
	}
	if err := os.Chmod(node, 0o666); err != nil {
		return err
	}
	if err := unix.Mount(node, DevicePath, "", unix.MS_BIND, ""); err != nil {
		return &os.PathError{Op: "bind", Path: DevicePath, Err: err}
	}
	return nil
}

// ControlPath is the usual mountpoint of fusectl.
const ControlPath = "/sys/fs/fuse/connections"

// Control mounts fusectl until the test's end. It has the connections of the whole
// machine, also those of other namespaces.
func Control(t testing.TB) {
	t.Helper()
	NeedRoot(t)
	NeedDevice(t)
	if err := unix.Mount("fusectl", ControlPath, "fusectl", 0, ""); err != nil {
		Skip(t, "use a kernel with fusectl: "+err.Error())
	}
	t.Cleanup(func() {
		if err := unix.Unmount(ControlPath, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}
