package races

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// After each trial, whatever alice did, at most one mount was added, alice's, where alice
// may write; at most one is gone, alice's; and all others are where they were.

// table has the mounts of a world by id, and those that no test of this package could
// have made.
type table map[int]fusetest.Line

func (w *world) table() (table, error) {
	lines, err := fusetest.AllMounts()
	if err != nil {
		return nil, err
	}
	mounts := table{}
	for _, l := range lines {
		if strings.HasPrefix(l.Mountpoint, w.base+"/") || !strings.HasPrefix(l.Mountpoint, worlds) {
			mounts[l.ID] = l
		}
	}
	return mounts, nil
}

// worlds is the directory of the worlds of all tests.
var worlds = fusetest.Stage() + "/dir/"

// without returns the mounts of t that other has not. Ids are used again, so the file
// systems are compared, too.
func (t table) without(other table) (lines []fusetest.Line) {
	for _, l := range t {
		if !other.has(l) {
			lines = append(lines, l)
		}
	}
	return lines
}

func (t table) has(l fusetest.Line) bool {
	same, found := t[l.ID]
	return found && same.Device == l.Device && same.FSType == l.FSType
}

func isAlices(l fusetest.Line) bool {
	return l.FSType == "fuse" && l.HasOption(fmt.Sprintf("user_id=%d", alice))
}

// violations compares the world with its state before.
func (tr *trial) violations(w *world, before table) (bad []string, err error) {
	after, err := w.table()
	if err != nil {
		return nil, err
	}
	complain := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	for _, l := range w.strangers {
		if !after.has(l) {
			complain("a mount of somebody else is gone: %s at %s", l.FSType, l.Mountpoint)
		}
	}
	came, went := after.without(before), before.without(after)
	for _, l := range w.strangers {
		if !before.has(l) { // it came with the strike
			came = drop(came, l)
			if err := w.lift(l); err != nil {
				return nil, err
			}
		}
	}
	for _, l := range came {
		if !isAlices(l) || !l.HasOption("nosuid") || !l.HasOption("nodev") {
			complain("mounted: %+v", l)
		}
		if owner, err := tr.covered(l); err != nil || owner != alice {
			complain("mounted over what belongs to uid %d: %s (%v)", owner, l.Mountpoint, err)
		}
	}
	for _, l := range went {
		if !isAlices(l) {
			complain("unmounted: %+v", l)
		}
	}
	if len(came) > 1 || len(went) > 1+tr.attack.stack {
		complain("%d mounts came and %d went", len(came), len(went))
	}
	if tr.attack.names {
		tr.promises(len(came), len(went), complain)
	}
	tr.words(complain)
	return bad, nil
}

func drop(lines []fusetest.Line, l fusetest.Line) (rest []fusetest.Line) {
	for _, other := range lines {
		if other.ID != l.ID || other.Device != l.Device {
			rest = append(rest, other)
		}
	}
	return rest
}

// lift unmounts a stranger's mount, to examine what is below.
func (w *world) lift(l fusetest.Line) error {
	top, found, err := fusetest.TopMount(l.Mountpoint)
	if err != nil || !found || top.ID != l.ID {
		return err
	}
	return unix.Unmount(l.Mountpoint, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
}

// covered unmounts a mount and returns the owner of its mountpoint.
func (tr *trial) covered(l fusetest.Line) (owner uint32, err error) {
	switch top, found, err := fusetest.TopMount(l.Mountpoint); {
	case err != nil:
		return 0, err
	case !found || top.ID != l.ID:
		return 0, fmt.Errorf("on top of it, or in its place, lies %+v", top)
	}
	if err := unix.Unmount(l.Mountpoint, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
		return 0, &os.PathError{Op: "umount", Path: l.Mountpoint, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Lstat(l.Mountpoint, &st); err != nil {
		return 0, &os.PathError{Op: "lstat", Path: l.Mountpoint, Err: err}
	}
	return st.Uid, nil
}

// promises checks the exit status against the mounts. If alice changed the table, the
// status is only about what the helper did.
func (tr *trial) promises(came, went int, complain func(string, ...any)) {
	success := tr.result.Exit == 0
	switch {
	case tr.mode.from != "" || tr.mode.dead: // a watcher's exit status is for no caller
	case tr.mode.mount:
		if (went == 1) != success {
			complain("exit %d, and %d mounts went", tr.result.Exit, went)
		}
	default:
		received := tr.result.Dev != nil || tr.mode.talk != nil
		if (came == 1) != success || success && !received {
			complain("exit %d, %d descriptors, and %d mounts came", tr.result.Exit, tr.result.NFDs, came)
		}
	}
}

// words wants exit status 0 or 1, and one error with at most a hint.
func (tr *trial) words(complain func(string, ...any)) {
	r := tr.result
	if r.Exit != 0 && r.Exit != 1 || r.Signal != 0 {
		complain("exit %d, signal %v", r.Exit, r.Signal)
	}
	if tr.mode.from != "" || tr.mode.dead { // a watcher prints nothing
		return
	}
	lines := strings.Split(strings.TrimSuffix(r.Stderr, "\n"), "\n")
	switch {
	case r.Exit == 0 && r.Stderr == "":
	case r.Exit == 1 && len(lines) == 1 && r.Stderr != "":
	case r.Exit == 1 && len(lines) == 2 && strings.Contains(lines[1], ": hint: "):
	default:
		complain("exit %d, and said %q", r.Exit, r.Stderr)
	}
}
