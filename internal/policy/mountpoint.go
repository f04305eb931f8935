package policy

import (
	"cmp"
	"fmt"

	"github.com/go-fusermount/fusermount/internal/fstypes"
	"github.com/go-fusermount/fusermount/internal/fuseconf"
)

// Kind is what a mountpoint is.
type Kind int

// The zero Kind is what may not be mounted over: a symlink, fifo, device,
// socket, or something not looked at.
const (
	Other Kind = iota
	Directory
	RegularFile
)

// String names what a mountpoint is.
func (k Kind) String() string {
	switch k {
	case Directory:
		return "directory"
	case RegularFile:
		return "file"
	}
	return "special file"
}

// Mountpoint is what was found out about the pinned mountpoint, as the caller.
type Mountpoint struct {
	Path     string // canonical, for messages only
	Kind     Kind
	Mode     uint32 // st_mode as the kernel gives it
	Sticky   bool
	Owner    uint32
	Writable bool   // the caller has write access, by the kernel's own answer
	FSType   uint64 // statfs's f_type
}

// Over judges what would be covered, alone, as Mount does. Nobody, not even root, mounts
// over a symlink or a special file: what lies there could be exchanged.
func Over(c Caller, s fuseconf.Settings, m Mountpoint) error {
	if m.Kind == Other {
		return refuse("mountpoint "+m.Path+" is not a directory or a regular file",
			"a symbolic link is not followed, and special files cannot be covered: name a directory")
	}
	if c.root() {
		return nil
	}
	if m.Kind == Directory && m.Sticky && m.Owner != c.UID {
		return refuse("mountpoint "+m.Path+" not owned by user",
			"a directory with the sticky bit can be mounted over by its owner alone")
	}
	if !m.Writable {
		return refuse("user has no write access to mountpoint "+m.Path,
			"a user can mount only where he may write: choose a directory of your own")
	}
	if fstypes.Ordinary(m.FSType) || s.MountOver.Has(m.FSType) {
		return nil
	}
	return refuse(fmt.Sprintf("mounting over filesystem type 0x%08x is forbidden (%s)",
		m.FSType, cmp.Or(fstypes.Name(m.FSType), "unknown to this program")), elsewhere(m.FSType))
}

func elsewhere(magic uint64) string {
	const other = "choose a directory on an ordinary file system, such as one in your home directory"
	name := fstypes.Name(magic)
	if _, ok := fstypes.Allowable(name); ok {
		return other + ", or ask the administrator to add the line mount_over = " + name + " to " + fuseconf.Path
	}
	return other
}
