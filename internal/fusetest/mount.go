package fusetest

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// DevicePath is the fuse device's usual node.
const DevicePath = "/dev/fuse"

// MountOptions are those of a mount without the helper. The zero value is a
// mount of type fuse that belongs to uid 0.
type MountOptions struct {
	UID, GID uint32  // the mount's owner: user_id and group_id
	Source   string  // "fusetest" when empty
	Subtype  string  // gives type fuse.Subtype
	Flags    uintptr // MS_*; nosuid and nodev are always added
	Data     string  // more options for the kernel, comma-separated
	Server   Options
}

// Mount attaches a FUSE file system at dir by mount(2) and serves it. It needs
// CAP_SYS_ADMIN in the mount namespace and a device that can be opened. The
// caller closes the server; the mount is unmounted by whoever made dir (see
// [Dir]).
func Mount(dir string, tree Tree, opts MountOptions) (*Server, error) {
	dev, err := OpenDevice()
	if err != nil {
		return nil, err
	}
	typ, source := "fuse", opts.Source
	if opts.Subtype != "" {
		typ += "." + opts.Subtype
	}
	if source == "" {
		source = "fusetest"
	}
	flags := opts.Flags | unix.MS_NOSUID | unix.MS_NODEV
	if err := unix.Mount(source, dir, typ, flags, mountData(dev, tree, opts)); err != nil {
		err = &os.PathError{Op: "mount", Path: dir, Err: err}
		return nil, errors.Join(err, dev.Close())
	}
	return ServeOptions(dev, tree, opts.Server), nil
}

// OpenDevice opens the fuse device. The file is not known to the runtime's
// poller, on purpose: after [SyncInit] a poll of the device waits for the
// mount, and would take the runtime's own polling with it.
func OpenDevice() (*os.File, error) {
	fd, err := unix.Open(DevicePath, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: DevicePath, Err: err}
	}
	return os.NewFile(uintptr(fd), DevicePath), nil
}

func mountData(dev *os.File, tree Tree, opts MountOptions) string {
	rootmode := uint32(unix.S_IFDIR)
	if tree.FileRoot != nil {
		rootmode = unix.S_IFREG
	}
	data := []string{fmt.Sprintf("fd=%d,rootmode=%o,user_id=%d,group_id=%d",
		dev.Fd(), rootmode, opts.UID, opts.GID)}
	if opts.Data != "" {
		data = append(data, opts.Data)
	}
	return strings.Join(data, ",")
}

// SyncInit asks the kernel to send INIT while the file system is created, and
// to let the creation wait for the answer. It comes before the mount, and
// [Serve] may follow at once. Kernels without it (before 6.18) answer ENOTTY.
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

// ioctlSyncInit is FUSE_DEV_IOC_SYNC_INIT, _IO(229, 3). How an architecture
// writes _IO is taken from another one without argument, _IO(0x12, 95).
const ioctlSyncInit = unix.BLKRRPART&^0xffff | 229<<8 | 3
