package connection

import (
	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// syncInit is FUSE_DEV_IOC_SYNC_INIT, _IO(229, 3) (linux/fuse.h). How an architecture
// writes _IO is taken from another one without argument, _IO(0x12, 95).
const syncInit = unix.BLKRRPART&^0xffff | 229<<8 | 3

// SyncInit has the kernel send the first request (FUSE_INIT) before it creates the mount.
// It concerns the open file alone, and is ENOTTY, without effect, before Linux 6.18.
func SyncInit(fd int) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), syncInit, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// IsMounted says whether a device has a connection: one without answers a poll with an
// error. After [SyncInit] it waits until the device is mounted.
func IsMounted(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	err := rawfile.RetryEINTR(func() error {
		_, err := unix.Poll(fds, 0)
		return err
	})
	return err == nil && fds[0].Revents&(unix.POLLERR|unix.POLLNVAL) == 0
}
