package fusermount

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// choice is a value that counts if something is asked for.
type choice[T any] struct {
	on    bool
	value T
}

func choose[T any](all ...choice[T]) (chosen []T) {
	for _, c := range all {
		if c.on {
			chosen = append(chosen, c.value)
		}
	}
	return chosen
}

func sum[T int | uintptr](bits []T) (all T) {
	for _, b := range bits {
		all |= b
	}
	return all
}

// words are what fuse itself takes: numbers and fixed words, so that there is
// no place for a comma of anybody's, nor for a length that the kernel would cut.
func (d *direct) words() []string {
	o := d.r.typed
	words := []string{
		"fd=" + strconv.Itoa(d.device),
		"rootmode=" + strconv.FormatUint(uint64(d.mode), 8),
		"user_id=" + strconv.FormatUint(uint64(d.who.uid), 10),
		"group_id=" + strconv.FormatUint(uint64(d.who.gid), 10),
	}
	if o.MaxRead.Given {
		words = append(words, "max_read="+strconv.FormatUint(uint64(o.MaxRead.Value), 10))
	}
	if o.BlkSize.Given {
		words = append(words, "blksize="+strconv.FormatUint(uint64(o.BlkSize.Value), 10))
	}
	return append(words, choose(
		choice[string]{o.AllowOther, "allow_other"},
		choice[string]{o.DefaultPermissions, "default_permissions"},
	)...)
}

// superFlags are those of the file system, for fsconfig(2).
func (r *request) superFlags() []string {
	o := r.typed
	return choose(
		choice[string]{o.ReadOnly, "ro"},
		choice[string]{o.Sync, "sync"},
		choice[string]{o.DirSync, "dirsync"},
	)
}

// mountAttributes are those of the mount, for fsmount(2).
func (r *request) mountAttributes() int {
	o := r.typed
	return sum(choose(
		choice[int]{o.ReadOnly, unix.MOUNT_ATTR_RDONLY},
		choice[int]{!o.Suid, unix.MOUNT_ATTR_NOSUID},
		choice[int]{!o.Dev, unix.MOUNT_ATTR_NODEV},
		choice[int]{o.NoExec, unix.MOUNT_ATTR_NOEXEC},
		choice[int]{o.NoAtime, unix.MOUNT_ATTR_NOATIME},
		choice[int]{o.NoDirAtime, unix.MOUNT_ATTR_NODIRATIME},
		choice[int]{o.NoSymfollow, unix.MOUNT_ATTR_NOSYMFOLLOW},
	))
}

// callFlags are both, for mount(2).
func (r *request) callFlags() uintptr {
	o := r.typed
	return sum(choose(
		choice[uintptr]{o.ReadOnly, unix.MS_RDONLY},
		choice[uintptr]{!o.Suid, unix.MS_NOSUID},
		choice[uintptr]{!o.Dev, unix.MS_NODEV},
		choice[uintptr]{o.NoExec, unix.MS_NOEXEC},
		choice[uintptr]{o.NoAtime, unix.MS_NOATIME},
		choice[uintptr]{o.NoDirAtime, unix.MS_NODIRATIME},
		choice[uintptr]{o.NoSymfollow, unix.MS_NOSYMFOLLOW},
		choice[uintptr]{o.Sync, unix.MS_SYNCHRONOUS},
		choice[uintptr]{o.DirSync, unix.MS_DIRSYNC},
	))
}
