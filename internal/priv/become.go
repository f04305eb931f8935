package priv

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Identity is the result of becoming the caller.
type Identity struct {
	UID, GID uint32 // the caller's real ids, now also effective and saved
	// Origin is how the process looked before, to explain what is missing.
	Origin Origin
}

// own is what stays effective between the brackets. It is empty unless the
// caller himself is privileged: root resolves paths with root's own rights.
var own Set

// Become makes the calling thread the caller: real, effective and saved ids
// are the real ones, no capability is effective, those of keep stay permitted
// where they were, nothing can be inherited or regained by an exec. A caller
// who is root keeps his own other capabilities, since they are his.
//
// Every step is read back; after an error the process must end.
func Become(keep Set) (Identity, error) {
	if err := onMainThread(); err != nil {
		return Identity{}, err
	}
	was, err := Current()
	if err != nil {
		return Identity{}, err
	}
	origin, err := remember(was)
	if err != nil {
		return Identity{}, err
	}
	permitted := was.Permitted & keep
	if was.RUID == 0 {
		own = was.Permitted &^ (SysAdmin | SetUID | SetGID)
		permitted |= own
	}
	if err := dropBounding(was); err != nil {
		return Identity{}, err
	}
	if err := resetLimits(); err != nil {
		return Identity{}, err
	}
	if err := becomeReal(was); err != nil {
		return Identity{}, err
	}
	if err := setCaps(own, permitted); err != nil {
		return Identity{}, err
	}
	if err := lock(); err != nil {
		return Identity{}, err
	}
	return Identity{UID: was.RUID, GID: was.RGID, Origin: origin}, nil
}

// becomeReal sets all ids to the real ones. PR_SET_KEEPCAPS lets the permitted
// set survive the step from root to a user.
func becomeReal(was State) error {
	if was.RUID != 0 {
		if err := prctl(unix.PR_SET_KEEPCAPS, 1); err != nil {
			return fmt.Errorf("prctl PR_SET_KEEPCAPS: %w", err)
		}
	}
	if err := setIDs(setresgid, was.RGID); err != nil {
		return fmt.Errorf("setresgid: %w", err)
	}
	if err := setIDs(setresuid, was.RUID); err != nil {
		return fmt.Errorf("setresuid: %w", err)
	}
	now, err := Current()
	if err != nil {
		return err
	}
	if now.RUID != was.RUID || now.EUID != was.RUID || now.SUID != was.RUID ||
		now.RGID != was.RGID || now.EGID != was.RGID || now.SGID != was.RGID {
		return fmt.Errorf("setresuid, setresgid: the kernel kept other ids: %+v", now)
	}
	return nil
}

// dropBounding empties the bounding set, where the right to do so is there.
// Without it (a file capability alone) no_new_privs has to do.
func dropBounding(was State) error {
	if !was.Effective.Has(setPCap) {
		return nil
	}
	for c := 0; c < 64; c++ {
		switch err := prctl(unix.PR_CAPBSET_DROP, uintptr(c)); err {
		case nil:
		case unix.EINVAL: // past the last capability that this kernel knows
			return nil
		default:
			return fmt.Errorf("prctl PR_CAPBSET_DROP %d: %w", c, err)
		}
	}
	return nil
}

// lock shuts the ways back to privilege and the ways into the process.
func lock() error {
	for _, step := range []struct {
		name      string
		option    int
		arg       uintptr
		readBack  int
		wantsBack uintptr
	}{
		{"PR_SET_NO_NEW_PRIVS", unix.PR_SET_NO_NEW_PRIVS, 1, unix.PR_GET_NO_NEW_PRIVS, 1},
		{"PR_SET_DUMPABLE", unix.PR_SET_DUMPABLE, 0, unix.PR_GET_DUMPABLE, 0},
	} {
		if err := prctl(step.option, step.arg); err != nil {
			return fmt.Errorf("prctl %s: %w", step.name, err)
		}
		got, _, errno := unix.RawSyscall6(unix.SYS_PRCTL, uintptr(step.readBack), 0, 0, 0, 0, 0)
		if errno != 0 || got != step.wantsBack {
			return fmt.Errorf("prctl %s did not hold", step.name)
		}
	}
	err := prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL)
	if err != nil && err != unix.EINVAL { // EINVAL: a kernel before 4.3 has no ambient set
		return fmt.Errorf("prctl PR_CAP_AMBIENT: %w", err)
	}
	return nil
}

func prctl(option int, arg uintptr) error {
	if _, _, errno := unix.RawSyscall6(unix.SYS_PRCTL, uintptr(option), arg, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}
