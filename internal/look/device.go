package look

import (
	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/people"
)

// fuseDevice is the number of the fuse device: FUSE_MINOR of MISC_MAJOR
// (linux/miscdevice.h).
var fuseDevice = unix.Mkdev(10, 229)

// IsFuseDevice says whether fd, which was opened as the device, is one.
func IsFuseDevice(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && isFuse(&st)
}

// OtherDevice says whether something else than the fuse device lies at a path.
func OtherDevice(path string) bool {
	var st unix.Stat_t
	return unix.Stat(path, &st) == nil && !isFuse(&st)
}

func isFuse(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && uint64(st.Rdev) == fuseDevice
}

// SyncInitCall is FUSE_DEV_IOC_SYNC_INIT, _IO(229, 3) (linux/fuse.h). What _IO adds
// differs between architectures, and is taken from another such number. The call
// concerns the open file alone.
const SyncInitCall = unix.NS_GET_USERNS&^0xffff | 229<<8 | 3

// SyncInit says whether the kernel knows sync-init. fd is an open fuse device that
// is then closed.
func SyncInit(fd int) people.Feature {
	_, _, errno := unix.RawSyscall(unix.SYS_IOCTL, uintptr(fd), SyncInitCall, 0)
	if errno == unix.ENOTTY {
		return people.Absent
	}
	return feature(errno)
}

// Module finds the file of the fuse module for the running kernel, if it is not
// built in, and says whether the kernel has been told to load no more modules.
func Module(release string) (file string, locked bool) {
	base := "/lib/modules/" + release + "/kernel/fs/fuse/fuse.ko"
	for _, packed := range []string{"", ".xz", ".zst", ".gz"} {
		var st unix.Stat_t
		if unix.Stat(base+packed, &st) == nil {
			file = base + packed
		}
	}
	return file, firstLine("/proc/sys/kernel/modules_disabled") == "1"
}
