package mount

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/pathfd"
	"github.com/go-fusermount/fusermount/internal/policy"
	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// Mountpoint is a pinned mountpoint: what is checked and what is mounted over
// are the same thing, whatever happens to its path.
type Mountpoint struct {
	fd    int // O_PATH
	place *Place
	facts policy.Mountpoint
}

// Pin pins what lies at p, and finds out what policy wants to know of it, with
// the rights of the caller.
func (p *Place) Pin(uid uint32) (*Mountpoint, error) {
	fd, err := pathfd.Open(p.parent, p.name, unix.O_NOFOLLOW)
	if err != nil {
		return nil, &AccessError{Path: p.path, Errno: err}
	}
	at := &Mountpoint{fd: fd, place: p}
	if err := at.Examine(uid); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return at, nil
}

// Examine finds out anew what policy wants to know of the pinned mountpoint.
func (at *Mountpoint) Examine(uid uint32) (err error) {
	if at.facts, err = Describe(at.fd, at.place.path, uid); err != nil {
		return &AccessError{Path: at.place.path, Errno: err}
	}
	return nil
}

// Facts says what was found out.
func (at *Mountpoint) Facts() policy.Mountpoint { return at.facts }

// ready is asked right before a mount is attached to at. The kernel attaches to
// whatever is topmost: what was mounted there since at was pinned may be root's, and
// what is attached over it could stay, since the caller may kill this process before
// it has taken that back. Between this look and the deed nothing else is done.
func (at *Mountpoint) ready(last func() error) error {
	if err := last(); err != nil {
		return err
	}
	for range maxLooks {
		if at.topmost(at.place.parent, at.place.name) {
			return nil
		}
		now, err := pathfd.Path(at.fd)
		if err != nil || at.topmost(unix.AT_FDCWD, now) { // not without /proc: confirm has a look afterwards
			return nil
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(at.fd, &st); err == nil && st.Nlink == 0 {
		return &MountError{Errno: unix.ENOENT}
	}
	return &MountError{Errno: unix.EBUSY, Message: "something else was mounted there meanwhile, or it was moved"}
}

// topmost says whether a name leads to at itself. What else lies there is not
// asked for anything but the id of its mount.
func (at *Mountpoint) topmost(parent int, name string) bool {
	fd, err := pathfd.Open(parent, name, unix.O_NOFOLLOW)
	if err != nil {
		return false
	}
	same, err := mtab.SameMount(fd, at.fd)
	var there, here unix.Stat_t
	if err == nil && same {
		err = errors.Join(unix.Fstat(fd, &there), unix.Fstat(at.fd, &here))
	}
	_ = unix.Close(fd) // nothing was done with it
	return err == nil && same && there.Dev == here.Dev && there.Ino == here.Ino
}

// Describe finds out what policy wants to know of what fd is, by the rights of the
// caller. It asks the daemon, if there is one.
func Describe(fd int, path string, uid uint32) (policy.Mountpoint, error) {
	facts := policy.Mountpoint{Path: path}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return facts, err
	}
	facts.Mode = st.Mode
	facts.Owner = st.Uid
	facts.Sticky = st.Mode&unix.S_ISVTX != 0
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		facts.Kind = policy.Directory
	case unix.S_IFREG:
		facts.Kind = policy.RegularFile
	default:
		return facts, nil
	}
	if uid == 0 { // root is not judged by the rest
		return facts, nil
	}
	facts.Writable = writable(fd)
	var fs unix.Statfs_t
	if err := rawfile.RetryEINTR(func() error { return unix.Fstatfs(fd, &fs) }); err != nil {
		return facts, err
	}
	facts.FSType = fsMagic(fs)
	return facts, nil
}

// fsMagic gives f_type without a sign: on 32-bit machines the field is 32 bits
// wide, and on some signed.
func fsMagic(fs unix.Statfs_t) uint64 {
	if wordIs32 {
		return uint64(uint32(fs.Type))
	}
	return uint64(fs.Type)
}

const wordIs32 = ^uint(0)>>32 == 0

// writable asks the kernel whether the caller may write to fd: it answers for
// the real ids, which are the caller's, and knows of read-only mounts, ACLs
// and security modules.
func writable(fd int) bool {
	err := unix.Faccessat2(fd, "", unix.W_OK, unix.AT_EMPTY_PATH)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // before 5.8, or a seccomp filter
		err = unix.Faccessat(unix.AT_FDCWD, pathfd.Link(fd), unix.W_OK, 0)
	}
	return err == nil
}
