package mtab

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// ErrOutside says that a directory lies in no mount of this process's namespace.
var ErrOutside = errors.New("the mountpoint lies outside of this mount namespace")

// Holds says whether the table holds the mount in which fd lies. Who mounts asks
// beforehand: a mount that cannot be found again cannot be taken back either.
//
// From Linux 6.15 on the new mount API attaches to a tree that lies in no
// namespace, which every user can make in a user namespace of his own and enter
// by a descriptor; mount(2) attaches to none. That fd lies in such a tree is
// ErrOutside, or, where statmount is forbidden, possible if held is false.
func Holds(fd int) (held bool, err error) {
	id, _, err := uniqueID(fd)
	if err == nil && !id.unique { // before Linux 6.8
		return readable()
	}
	if err == nil {
		_, err = statmount(id.n)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.ENOENT):
			return false, ErrOutside
		case statmountAnswers(): // it cannot be reached from the root directory (chroot)
			return readable()
		}
	}
	return listed(fd)
}

// readable says whether there is a text to find a mount in.
func readable() (bool, error) {
	table, err := rawfile.Open(mountinfoPath, unix.O_RDONLY, 0)
	if err != nil {
		return false, unreadable(err)
	}
	return true, unix.Close(table)
}

// statmountAnswers says whether the call itself is allowed, by an id that no
// mount has.
func statmountAnswers() bool {
	_, err := statmount(1 << 62)
	return errors.Is(err, unix.ENOENT)
}

func listed(fd int) (bool, error) {
	id, err := OldID(fd)
	if err != nil {
		return false, fmt.Errorf("mount id: %w", err)
	}
	if _, err := ByOldID(id); !errors.Is(err, ErrNotListed) {
		return err == nil, err
	}
	return false, nil
}
