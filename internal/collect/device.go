package collect

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/diagnose"
	"github.com/go-fusermount/fusermount/internal/fusedev"
)

// OtherDevice says whether something else than the fuse device lies at a path.
func OtherDevice(path string) bool {
	var st unix.Stat_t
	return unix.Stat(path, &st) == nil && !fusedev.IsFile(&st)
}

// SyncInit says whether the kernel knows sync-init. fd is an open fuse device that
// is then closed.
func SyncInit(fd int) diagnose.Feature {
	err := fusedev.SyncInit(fd)
	if errors.Is(err, unix.ENOTTY) {
		return diagnose.Absent
	}
	return feature(err)
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
