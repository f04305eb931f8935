package connection

import "golang.org/x/sys/unix"

// device is the number of the fuse device, which connections belong to: FUSE_MINOR
// of MISC_MAJOR (linux/miscdevice.h).
var device = unix.Mkdev(10, 229)

// IsDevice says whether a descriptor is one of the fuse device.
func IsDevice(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && IsDeviceFile(&st)
}

// IsDeviceFile says of what stat(2) gives whether it is the fuse device's.
func IsDeviceFile(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && uint64(st.Rdev) == device
}

// SyncInitCall is FUSE_DEV_IOC_SYNC_INIT, _IO(229, 3) (linux/fuse.h). How an
// architecture writes _IO is taken from another one without argument,
// _IO(0x12, 95). The call concerns the open file alone.
const SyncInitCall = unix.BLKRRPART&^0xffff | 229<<8 | 3
