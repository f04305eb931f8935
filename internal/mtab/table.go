package mtab

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/rawfile"
)

const mountinfoPath = "/proc/self/mountinfo"

// ErrNotListed says that the mount is not in this process's mount table.
var ErrNotListed = errors.New("mount not listed")

// ByFD gives the entry of the mount in which fd lies, and whether fd is its
// root. It asks the kernel alone, never a daemon: statmount by the unique id
// where both exist (Linux 6.8), else mountinfo.
func ByFD(fd int) (e Entry, isRoot bool, err error) {
	id, isRoot, err := uniqueID(fd)
	if err == nil && id.unique {
		if e, err = statmount(id.n); err == nil {
			return e, isRoot, nil
		}
	}
	e, err = ByFDAs(fd, Entry{})
	return e, isRoot, err
}

// ByFDAs gives the entry of the mount in which fd lies with the kind of id that
// was has, so that the two can be compared.
func ByFDAs(fd int, was Entry) (Entry, error) {
	if was.Unique {
		id, _, err := uniqueID(fd)
		if err == nil && !id.unique {
			err = errIncomplete
		}
		if err != nil {
			return Entry{}, fmt.Errorf("mount id: %w", err)
		}
		return statmount(id.n)
	}
	old, err := OldID(fd)
	if err != nil {
		return Entry{}, fmt.Errorf("mount id: %w", err)
	}
	return ByOldID(old)
}

// ByPath gives the entry of the topmost mount at a path, as ByFD does, where a symlink
// at its end is not followed. Where the kernel tells ids by name no descriptor is
// opened: in a program with threads a process forked at that moment would have
// it, too, and keep the mount busy.
func ByPath(path string) (e Entry, isRoot bool, err error) {
	id, isRoot, err := uniqueIDAt(unix.AT_FDCWD, path, byName)
	if err == nil && id.unique {
		if e, err = statmount(id.n); err == nil {
			return e, isRoot, nil
		}
	}
	fd, err := rawfile.Open(path, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return Entry{}, false, err
	}
	e, isRoot, err = ByFD(fd)
	return e, isRoot, errors.Join(err, unix.Close(fd))
}

// Again reads the entry of a mount that was read before, wherever it lies now.
// The error is ErrNotListed when it was unmounted. Where ids are used again,
// a mount of another type, source, owner or device does not pass for it.
func Reload(was Entry) (Entry, error) {
	var e Entry
	var err error
	if was.Unique {
		e, err = statmount(was.ID)
	} else {
		e, err = ByOldID(was.ID)
	}
	switch {
	case errors.Is(err, unix.ENOENT):
		return Entry{}, ErrNotListed
	case err != nil:
		return Entry{}, err
	case !Same(e, was):
		return Entry{}, ErrNotListed
	}
	return e, nil
}

// Same says whether two entries are of one mount.
func Same(a, b Entry) bool {
	return a.ID == b.ID && a.Unique == b.Unique && a.Type == b.Type && a.Source == b.Source &&
		a.Major == b.Major && a.Minor == b.Minor && a.SuperOptions == b.SuperOptions
}

// MountedOn says whether e is attached to the very mount in which fd lies, and
// not to another on top of it.
func MountedOn(e Entry, fd int) (bool, error) {
	if e.Unique {
		id, _, err := uniqueID(fd)
		return id.unique && id.n == e.Parent, err
	}
	id, err := OldID(fd)
	return id == e.Parent, err
}

// Parent gives the entry of the mount on which e lies.
func Parent(e Entry) (Entry, error) {
	if e.Unique {
		return statmount(e.Parent)
	}
	return ByOldID(e.Parent)
}

// mountinfo gives its whole text.
func mountinfo() (string, error) {
	text, err := rawfile.Text(mountinfoPath)
	if err != nil {
		return "", unreadable(err)
	}
	return text, nil
}

// unreadable does not wrap: that this file is missing (there is no /proc) must
// not be taken for the absence of the mount that is looked for.
func unreadable(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		err = errno
	}
	return errors.New("the mount table cannot be read: " + mountinfoPath + ": " + err.Error())
}

// ByOldID gives the entry with an id of the kind that mountinfo uses.
func ByOldID(id uint64) (Entry, error) {
	text, err := mountinfo()
	if err != nil {
		return Entry{}, err
	}
	var found Entry
	ok := false
	err = each(text, func(e Entry) bool {
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

// Descendants gives all mounts below top: its children, theirs, and so on.
func Descendants(top Entry) ([]Entry, error) {
	if top.Unique {
		return insideByID(top.ID)
	}
	text, err := mountinfo()
	if err != nil {
		return nil, err
	}
	children := map[uint64][]Entry{}
	err = each(text, func(e Entry) bool {
		children[e.Parent] = append(children[e.Parent], e)
		return false
	})
	if err != nil {
		return nil, err
	}
	inside := children[top.ID]
	for i := 0; i < len(inside); i++ { // grows while it runs
		inside = append(inside, children[inside[i].ID]...)
	}
	return inside, nil
}

func insideByID(id uint64) ([]Entry, error) {
	ids, err := listmount(id)
	if err != nil {
		return nil, fmt.Errorf("listmount: %w", err)
	}
	var inside []Entry
	for _, id := range ids {
		e, err := statmount(id)
		if errors.Is(err, unix.ENOENT) { // unmounted meanwhile
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("statmount: %w", err)
		}
		inside = append(inside, e)
	}
	return inside, nil
}
