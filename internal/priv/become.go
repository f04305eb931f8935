package priv

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/entry"
	"github.com/go-fusermount/fusermount/internal/secure"
)

// Identity is the result of becoming the caller.
type Identity struct {
	UID, GID uint32 // the caller's real ids, now also effective and saved
	// Origin is how the process looked before, to explain what is missing.
	Origin Origin
}

// own is what stays effective between the brackets. It is empty unless the
// caller is root: root resolves paths with root's own rights.
var own Set

// Become verifies that the process is its caller, and locks it in that state.
//
// In a set-id process package entry did the work, before the Go runtime started.
// Here every part of it is read back from the kernel. A process that has more
// rights than its caller, and did not begin at that entry point, is refused.
//
// Afterwards all ids are the real ones, no capability is effective, and none but
// Lendable is permitted; nothing can be inherited or regained by an exec. A caller
// who is root keeps the other capabilities as well.
//
// After an error the process must end.
func Become() (Identity, error) {
	who, err := verified()
	if err != nil {
		return Identity{}, fmt.Errorf("cannot become the caller: %w", err)
	}
	return who, nil
}

func verified() (Identity, error) {
	if err := onMainThread(); err != nil {
		return Identity{}, err
	}
	if err := entry.Err(); err != nil {
		return Identity{}, err
	}
	was, err := Current()
	if err != nil {
		return Identity{}, err
	}
	setid, err := verify(was)
	if err != nil {
		return Identity{}, err
	}
	origin, err := originOf(was)
	if err != nil {
		return Identity{}, err
	}
	permitted := was.Permitted & Lendable
	if was.RUID == 0 {
		own = was.Permitted &^ Lendable
		permitted |= own
	}
	if err := resetLimits(); err != nil {
		return Identity{}, err
	}
	if err := setCaps(own, permitted); err != nil {
		return Identity{}, err
	}
	// What the entry point has not done for all threads is not made good for one.
	if err := lock(setid && was.RUID != 0); err != nil {
		return Identity{}, err
	}
	return Identity{UID: was.RUID, GID: was.RGID, Origin: origin}, nil
}

// errNoEntry is for a binary that was linked without package entry's entry point:
// its runtime has started threads with the file owner's rights.
var errNoEntry = errors.New("this program was built without its entry point, and works with no more rights than its caller has: " +
	"build it with 'make build'")

// verify looks at what the entry point left. A process that is not set-id has the
// rights that its caller gave it.
func verify(s State) (setid bool, err error) {
	_, setid = entry.AtStart()
	if !entry.Ran() {
		setid = secure.Execution()
		if setid && s.RUID != 0 && (!s.real() || s.Permitted != 0) {
			return setid, errNoEntry
		}
	}
	switch {
	case !s.real():
		return setid, fmt.Errorf("the ids are not all the real ones: %+v", s)
	case setid && s.RUID != 0 && (s.Effective != 0 || s.Inheritable != 0 || s.Permitted&^Lendable != 0):
		return setid, fmt.Errorf("there are capabilities too many: %+v", s)
	}
	return setid, mapped(s)
}

// mapped asks whether the ids exist in this user namespace. One that does not shows
// as the overflow id, which may be somebody else's. The calls change nothing; a
// sandbox may refuse them.
func mapped(s State) error {
	for _, call := range []struct {
		name     string
		trap, id uintptr
	}{{"setresgid", setresgid, uintptr(s.RGID)}, {"setresuid", setresuid, uintptr(s.RUID)}} {
		if _, _, errno := unix.RawSyscall(call.trap, call.id, call.id, call.id); errno == unix.EINVAL {
			return &entry.Error{Step: call.name, Errno: errno}
		}
	}
	return nil
}

// real says whether effective and saved ids are the real ones.
func (s State) real() bool {
	return s.EUID == s.RUID && s.SUID == s.RUID && s.EGID == s.RGID && s.SGID == s.RGID
}

// lock closes the ways back to privilege and the ways into the process, or verifies
// that they are locked.
func lock(locked bool) error {
	if !locked {
		if err := prctl(unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
			return fmt.Errorf("prctl PR_SET_NO_NEW_PRIVS: %w", err)
		}
		if err := prctl(unix.PR_SET_DUMPABLE, 0); err != nil {
			return fmt.Errorf("prctl PR_SET_DUMPABLE: %w", err)
		}
	}
	if err := wantFlag("NO_NEW_PRIVS", unix.PR_GET_NO_NEW_PRIVS, 1); err != nil {
		return err
	}
	if err := wantFlag("DUMPABLE", unix.PR_GET_DUMPABLE, 0); err != nil {
		return err
	}
	err := prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL)
	if err != nil && err != unix.EINVAL { // EINVAL: a kernel before 4.3 has no ambient set
		return fmt.Errorf("prctl PR_CAP_AMBIENT: %w", err)
	}
	return nil
}

// undumpable keeps the caller from tracing the process and from reading its
// memory, which all threads share. The kernel sets the flag to fs.suid_dumpable at
// each change of ids, setfsuid included, and that may be 1.
func undumpable() error {
	if err := prctl(unix.PR_SET_DUMPABLE, 0); err != nil {
		return fmt.Errorf("prctl PR_SET_DUMPABLE: %w", err)
	}
	return wantFlag("DUMPABLE", unix.PR_GET_DUMPABLE, 0)
}

func wantFlag(name string, get int, value uintptr) error {
	got, _, errno := unix.RawSyscall6(unix.SYS_PRCTL, uintptr(get), 0, 0, 0, 0, 0)
	if errno != 0 || got != value {
		return fmt.Errorf("prctl PR_SET_%s did not hold", name)
	}
	return nil
}

func prctl(option int, arg uintptr) error {
	if _, _, errno := unix.RawSyscall6(unix.SYS_PRCTL, uintptr(option), arg, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}
