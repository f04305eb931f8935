package priv

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/entry"
)

// Origin is how the process started, before it became its caller: enough to say
// later which right is missing and why.
type Origin struct {
	EUID       uint32
	NoNewPrivs bool
	Permitted  Set
}

func originOf(now State) (Origin, error) {
	if at, setid := entry.AtStart(); setid {
		return Origin{EUID: at.EUID, NoNewPrivs: at.NoNewPrivs, Permitted: Set(at.Permitted)}, nil
	}
	nnp, _, errno := unix.RawSyscall6(unix.SYS_PRCTL, unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0, 0)
	if errno != 0 {
		return Origin{}, fmt.Errorf("prctl PR_GET_NO_NEW_PRIVS: %w", errno)
	}
	return Origin{EUID: now.EUID, NoNewPrivs: nnp != 0, Permitted: now.Permitted}, nil
}

const self = "/proc/self/exe"

// Explain says why the process lacks CAP_SYS_ADMIN, or could not use it, and
// what helps. It is for a message only, and looks at the program's own file.
func (o Origin) Explain() string {
	if o.Permitted.Has(SysAdmin) {
		return "CAP_SYS_ADMIN is there, but the kernel refuses: this mount namespace may belong to another user namespace, " +
			"or a security module or seccomp filter forbids mounting"
	}
	if o.EUID == 0 {
		return "root has no CAP_SYS_ADMIN here: start the container with it (--cap-add SYS_ADMIN --device /dev/fuse), " +
			"or mount inside a user namespace of your own"
	}
	var st unix.Stat_t
	var fs unix.Statfs_t
	if unix.Stat(self, &st) != nil || unix.Statfs(self, &fs) != nil {
		return "the program has no privilege, and its file cannot be examined"
	}
	caps, _ := unix.Getxattr(self, "security.capability", nil)
	switch {
	case st.Mode&unix.S_ISUID == 0 && caps <= 0:
		return "the program is installed without the setuid bit and without the file capability: " +
			"'chown root' and 'chmod u+s' it, or 'setcap cap_sys_admin+ep' it"
	case o.NoNewPrivs:
		return "no_new_privs is set, so the setuid bit has no effect: " +
			"a sandbox, a container option or NoNewPrivileges= of a systemd unit did that"
	case fs.Flags&unix.ST_NOSUID != 0:
		return "the program lies on a file system mounted nosuid, so its setuid bit has no effect"
	}
	return "the setuid bit had no effect: in this user namespace its owner is not root"
}
