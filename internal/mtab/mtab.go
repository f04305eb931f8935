// Package mtab reads the kernel's mount table, and keeps the two tables of user space:
// libmount's utab and, where it is a regular file, /etc/mtab.
package mtab

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mountopts"
	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// Entry is one mount of the table.
type Entry struct {
	// ID and Parent are mount ids. Unique ones (Linux 6.8) are never reused; the others may be.
	ID, Parent uint64
	Unique     bool
	OldID      uint64 // of a unique entry: the id that mountinfo uses

	Major, Minor uint32
	Mountpoint   string // as seen from the process's root
	Type         string // with its subtype: fuse.sshfs
	Source       string // empty where statmount does not tell it (before Linux 6.13)
	NoSuid       bool
	NoDev        bool
	Options      string // the mount's own, comma-separated; only from mountinfo
	SuperOptions string // the file system's own, comma-separated
}

// Connection is the number by which fusectl knows the connection of a FUSE mount: the
// file system's device number, as the kernel writes it.
func (e Entry) Connection() uint32 { return e.Major<<20 | e.Minor }

// Owner gives the user_id of a FUSE mount: the whole number, so that no uid is taken for
// the beginning of another (CVE-2021-3995).
func (e Entry) Owner() (uid uint32, ok bool) {
	for option := range strings.SplitSeq(e.SuperOptions, ",") {
		if value, found := strings.CutPrefix(option, "user_id="); found {
			n, err := strconv.ParseUint(value, 10, 32)
			return uint32(n), err == nil
		}
	}
	return 0, false
}

// Same says whether two entries are of one mount.
func Same(a, b Entry) bool {
	return a.ID == b.ID && a.Unique == b.Unique && a.Type == b.Type && a.Source == b.Source &&
		a.Major == b.Major && a.Minor == b.Minor && a.SuperOptions == b.SuperOptions
}

// ErrNotListed says that the mount is not in this process's mount table.
var ErrNotListed = errors.New("mount not listed")

// ByFD gives the entry of the mount in which fd lies, and whether fd is its root. It asks
// no daemon: statmount by the unique id (Linux 6.8), else mountinfo.
func ByFD(fd int) (e Entry, isRoot bool, err error) {
	id, isRoot, err := UniqueID(fd, "", unix.AT_EMPTY_PATH)
	if err == nil {
		if e, err = ByID(id, true); err == nil {
			return e, isRoot, nil
		}
	}
	e, err = ByFDAs(fd, Entry{})
	return e, isRoot, err
}

// ByFDAs gives the entry of the mount in which fd lies with the kind of id that was has,
// so that the two can be compared.
func ByFDAs(fd int, was Entry) (Entry, error) {
	id, err := idOf(fd, was.Unique)
	if err != nil {
		return Entry{}, fmt.Errorf("mount id: %w", err)
	}
	return ByID(id, was.Unique)
}

// idOf gives the id of the mount in which fd lies.
func idOf(fd int, unique bool) (uint64, error) {
	if !unique {
		return OldID(fd)
	}
	id, _, err := UniqueID(fd, "", unix.AT_EMPTY_PATH)
	return id, err
}

// ByOldID gives the entry with an id of the kind that mountinfo uses.
func ByOldID(id uint64) (found Entry, err error) {
	text, err := mountinfo()
	if err != nil {
		return Entry{}, err
	}
	ok := false
	err = each(text, "", func(e Entry) (stop bool) {
		if e.ID == id {
			found, ok = e, true
		}
		return ok
	})
	if err == nil && !ok {
		err = ErrNotListed
	}
	return found, err
}

// Reload reads the entry of a mount again, wherever it lies now. The error is
// ErrNotListed when it was unmounted. Where ids are reused, a mount of another type,
// source, owner or device is not taken for it.
func Reload(was Entry) (Entry, error) {
	e, err := ByID(was.ID, was.Unique)
	if errors.Is(err, unix.ENOENT) || err == nil && !Same(e, was) {
		return Entry{}, ErrNotListed
	}
	return e, err
}

// ByID gives the entry with an id. ENOENT says that no mount has this unique id.
func ByID(id uint64, unique bool) (Entry, error) {
	if unique {
		return statmount(id, statmountWanted)
	}
	return ByOldID(id)
}

// MountedOn says whether e is attached to the mount in which fd lies, and not to another
// one on top of it.
func MountedOn(e Entry, fd int) (bool, error) {
	id, err := idOf(fd, e.Unique)
	return err == nil && id == e.Parent, err
}

// SameMount says whether two descriptors lie in one mount.
func SameMount(a, b int) (bool, error) {
	one, err := idOf(a, true)
	unique := err == nil
	if !unique {
		one, err = idOf(a, false)
	}
	if err != nil {
		return false, err
	}
	other, err := idOf(b, unique)
	return err == nil && one == other, err
}

// Covered says whether another mount lies on the root of e.
func Covered(e Entry) (bool, error) {
	inside, err := Descendants(e)
	return slices.ContainsFunc(inside, func(m Entry) bool { return m.Parent == e.ID && m.Mountpoint == e.Mountpoint }), err
}

// Descendants gives all mounts below top: its children, theirs, and so on.
func Descendants(top Entry) (all []Entry, err error) {
	if top.Unique {
		return statmounts(top.ID, statmountWanted)
	}
	text, err := mountinfo()
	if err != nil {
		return nil, err
	}
	children := map[uint64][]Entry{}
	err = each(text, "", func(e Entry) (stop bool) {
		children[e.Parent] = append(children[e.Parent], e)
		return false
	})
	if err != nil {
		return nil, err
	}
	all = children[top.ID]
	for i := 0; i < len(all); i++ { // all grows meanwhile
		all = append(all, children[all[i].ID]...)
	}
	return all, nil
}

// ErrOutside says that a directory lies in no mount of this process's namespace.
var ErrOutside = errors.New("the mountpoint lies outside of this mount namespace")

// Holds says whether the table has the mount in which fd lies: a mount on one that cannot
// be found again could not be taken back.
//
// From Linux 6.15 on the new mount API attaches to a tree outside of any namespace, which
// every user can create in a user namespace of their own and enter by a descriptor;
// mount(2) does not. fd lies in such a tree if the error is ErrOutside, and, where
// statmount is forbidden, may do so if held is false.
func Holds(fd int) (held bool, err error) {
	id, err := idOf(fd, true)
	if errors.Is(err, errNoUniqueID) {
		return readable()
	}
	if err == nil {
		if _, err = ByID(id, true); err == nil {
			return true, nil
		}
		if errors.Is(err, unix.ENOENT) {
			return false, ErrOutside
		}
		// An id that no mount has shows whether the call is allowed. If so, fd cannot be
		// reached from the root directory (chroot).
		if _, err := ByID(1<<62, true); errors.Is(err, unix.ENOENT) {
			held, err := readable()
			if err != nil && enter(fd) { // what is mounted there can be reached, though this mount cannot
				return true, nil
			}
			return held, err
		}
	}
	if _, err = ByFDAs(fd, Entry{}); errors.Is(err, ErrNotListed) {
		return false, nil
	}
	return err == nil, err
}

const mountinfoPath = "/proc/self/mountinfo"

// mountinfo reads the table. The error is not wrapped: that this file is missing (there is
// no /proc) must not be taken for the absence of a mount.
func mountinfo() (string, error) {
	text, err := rawfile.Text(mountinfoPath)
	var errno unix.Errno
	if errors.As(err, &errno) {
		err = errno
	}
	if err != nil {
		return "", errors.New("the mount table cannot be read: " + mountinfoPath + ": " + err.Error())
	}
	return text, nil
}

// enter makes fd the current directory, and says whether it lies below the root directory.
func enter(fd int) bool {
	buf := make([]byte, unix.PathMax)
	if unix.Fchdir(fd) != nil {
		return false
	}
	_, err := unix.Getcwd(buf)
	return err == nil && buf[0] == '/'
}

// readable says whether the table can be read.
func readable() (bool, error) {
	_, err := mountinfo()
	return err == nil, err
}

var errMalformed = errors.New("malformed line in mountinfo")

// parseLine reads one line (proc_pid_mountinfo(5)).
func parseLine(line string) (Entry, error) {
	before, after, found := strings.Cut(line, " - ")
	head := strings.Split(before, " ")
	tail := strings.Split(after, " ")
	if !found || len(head) < 6 || len(tail) < 3 {
		return Entry{}, fmt.Errorf("%w: %q", errMalformed, line)
	}
	major, minor, _ := strings.Cut(head[2], ":")
	var numbers [4]uint64
	for i, field := range [...]string{head[0], head[1], major, minor} {
		var err error
		if numbers[i], err = strconv.ParseUint(field, 10, [...]int{64, 64, 32, 32}[i]); err != nil {
			return Entry{}, fmt.Errorf("%w: %q", errMalformed, line)
		}
	}
	options := strings.Split(head[5], ",")
	return Entry{
		ID: numbers[0], Parent: numbers[1], Major: uint32(numbers[2]), Minor: uint32(numbers[3]),
		Mountpoint: Unescape(head[4]), Type: Unescape(tail[0]), Source: Unescape(tail[1]),
		NoSuid: slices.Contains(options, "nosuid"), NoDev: slices.Contains(options, "nodev"),
		Options: head[5], SuperOptions: tail[2],
	}, nil
}

// each calls f for every line with these words until f says stop. A line that cannot be
// parsed is an error, and never a guess.
func each(text, words string, f func(Entry) (stop bool)) error {
	for line := range strings.SplitSeq(text, "\n") {
		if line == "" || !strings.Contains(line, words) {
			continue
		}
		e, err := parseLine(line)
		if err != nil {
			return err
		}
		if f(e) {
			return nil
		}
	}
	return nil
}

// Fuse gives the FUSE mounts that can be reached from the process's root, in the order of
// the table: of two at one place, the upper one comes later.
func Fuse() ([]Entry, error) {
	text, err := mountinfo()
	if err != nil {
		return nil, err
	}
	return fuseIn(text)
}

func fuseIn(text string) (mounts []Entry, err error) {
	err = each(text, " - fuse", func(e Entry) (stop bool) { // most lines are not worth parsing
		if mountopts.IsFuse(e.Type) {
			mounts = append(mounts, e)
		}
		return false
	})
	return mounts, err
}
