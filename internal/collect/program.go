package collect

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/diagnose"
)

const self = "/proc/self/exe"

// Program examines this program's own file.
func Program() (p diagnose.Program) {
	var st unix.Stat_t
	var fs unix.Statfs_t
	if unix.Stat(self, &st) != nil || unix.Statfs(self, &fs) != nil {
		return p
	}
	p.Path = linkText(self)
	p.Owner = st.Uid
	p.Setuid = st.Mode&unix.S_ISUID != 0
	if p.NoSuid = fs.Flags&unix.ST_NOSUID != 0; p.NoSuid {
		p.Under = mountpointOf(self)
	}
	caps := make([]byte, 64)
	if n, err := unix.Getxattr(self, "security.capability", caps); err == nil {
		p.Capability = hasSysAdmin(caps[:n])
	}
	return p
}

// mountpointOf is empty where the mount cannot be found out.
func mountpointOf(path string) string {
	found, err := pin(unix.AT_FDCWD, path, 0)
	if err != nil || found.Close() != nil {
		return ""
	}
	return found.Mount.Mountpoint
}

// hasSysAdmin reads the lower half of the permitted set of struct vfs_cap_data
// (linux/capability.h), which is little-endian everywhere.
func hasSysAdmin(attribute []byte) bool {
	const permitted = 4
	return len(attribute) >= permitted+4 && binary.LittleEndian.Uint32(attribute[permitted:])&(1<<unix.CAP_SYS_ADMIN) != 0
}
