package mount

import (
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/policy"
	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// maxParameter is the longest string in bytes that fsconfig(2) takes.
const maxParameter = 255

// fitsFsconfig says whether the caller's strings fit into fsconfig. Too long
// ones go the other way, where a page is the limit.
func fitsFsconfig(t policy.Terms) bool {
	return len(t.Source) <= maxParameter && len(t.Subtype) <= maxParameter
}

// mountByContext mounts with fsopen, fsconfig, fsmount and move_mount, and
// gives the descriptor of the mount.
func mountByContext(t policy.Terms, d *Device, at *Mountpoint, last func() error) (int, error) {
	context, err := openContext(t, d)
	if err != nil {
		return -1, err
	}
	defer unix.Close(context)
	if err := fsconfigCreate(context); err != nil {
		return -1, &MountError{Errno: err, Message: contextLog(context)}
	}
	return attach(context, t, at, last)
}

// openContext describes the file system to the kernel.
func openContext(t policy.Terms, d *Device) (context int, err error) {
	context, err = fsopen(fsType(t))
	if err != nil {
		return -1, &MountError{Errno: err}
	}
	if err := fill(context, t, d); err != nil {
		message := contextLog(context)
		return -1, &MountError{Errno: errors.Join(err, unix.Close(context)), Message: message}
	}
	return context, nil
}

func fill(context int, t policy.Terms, d *Device) error {
	for _, p := range parameters(t, d) {
		if err := rawfile.RetryEINTR(func() error { return unix.FsconfigSetString(context, p.key, p.value) }); err != nil {
			return err
		}
	}
	for _, name := range superFlags(t) {
		if err := rawfile.RetryEINTR(func() error { return unix.FsconfigSetFlag(context, name) }); err != nil {
			return err
		}
	}
	return nil
}

// attach mounts the file system that was created in context over the pinned
// mountpoint. Signals are held from then on.
func attach(context int, t policy.Terms, at *Mountpoint, last func() error) (fd int, err error) {
	fd, err = fsmount(context, mountAttributes(t))
	if err != nil {
		return -1, &MountError{Errno: err, Message: contextLog(context)}
	}
	if err := at.ready(last); err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	if err := heldIfDone(func() error { return moveMount(fd, at.fd) }); err != nil {
		return -1, &MountError{Errno: errors.Join(err, unix.Close(fd))}
	}
	return fd, nil
}

type parameter struct{ key, value string }

// parameters are the values that the kernel's fuse takes: from typed terms,
// so that none can hold a second one.
func parameters(t policy.Terms, d *Device) []parameter {
	p := []parameter{{"source", t.Source}}
	if t.Subtype != "" {
		p = append(p, parameter{"subtype", t.Subtype})
	}
	return append(p, numbers(t, d)...)
}

// numbers are the parameters that mount(2) has in its data argument. The
// descriptor goes as a number: FSCONFIG_SET_FD is refused before Linux 7.
func numbers(t policy.Terms, d *Device) []parameter {
	decimal := func(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
	p := []parameter{
		{"fd", strconv.Itoa(d.fd)},
		{"rootmode", strconv.FormatUint(uint64(t.RootMode), 8)},
		{"user_id", decimal(t.UserID)},
		{"group_id", decimal(t.GroupID)},
	}
	if t.MaxRead.Given {
		p = append(p, parameter{"max_read", decimal(t.MaxRead.Value)})
	}
	if t.BlkSize.Given {
		p = append(p, parameter{"blksize", decimal(t.BlkSize.Value)})
	}
	return p
}

func superFlags(t policy.Terms) []string {
	return named([]flag{
		{t.AllowOther, "allow_other"},
		{t.DefaultPermissions, "default_permissions"},
		{t.ReadOnly, "ro"},
		{t.Sync, "sync"},
		{t.DirSync, "dirsync"},
	})
}

type flag struct {
	on   bool
	name string
}

func named(flags []flag) (names []string) {
	for _, f := range flags {
		if f.on {
			names = append(names, f.name)
		}
	}
	return names
}

func mountAttributes(t policy.Terms) int {
	return bits([]bit{
		{t.ReadOnly, unix.MOUNT_ATTR_RDONLY},
		{t.NoSuid, unix.MOUNT_ATTR_NOSUID},
		{t.NoDev, unix.MOUNT_ATTR_NODEV},
		{t.NoExec, unix.MOUNT_ATTR_NOEXEC},
		{t.NoAtime, unix.MOUNT_ATTR_NOATIME},
		{t.NoDirAtime, unix.MOUNT_ATTR_NODIRATIME},
		{t.NoSymfollow, unix.MOUNT_ATTR_NOSYMFOLLOW},
	})
}

type bit struct {
	on    bool
	value int
}

func bits(all []bit) (sum int) {
	for _, b := range all {
		if b.on {
			sum |= b.value
		}
	}
	return sum
}

func fsType(t policy.Terms) string {
	if t.BlockDevice {
		return "fuseblk"
	}
	return "fuse"
}

// contextLog reads what the kernel says about a context, until it has no more
// to say. Each message begins with a letter for its kind and a blank.
func contextLog(context int) string {
	var lines []string
	buf := make([]byte, 1024)
	for len(lines) < 8 {
		n, err := unix.Read(context, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n <= 0 {
			break
		}
		line := strings.TrimSpace(string(buf[:n]))
		if len(line) > 2 && line[1] == ' ' {
			line = line[2:]
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "; ")
}
