// Package mount makes the system calls that mount and unmount. It decides nothing: what
// it changes in the mount table follows from a plan that package policy granted, and
// everything that it acts on was pinned by a descriptor before.
package mount

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mountopts"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/pathfd"
	"github.com/go-fusermount/fusermount/internal/policy"
	"github.com/go-fusermount/fusermount/internal/printable"
	"github.com/go-fusermount/fusermount/internal/rawfile"
	"github.com/go-fusermount/fusermount/internal/signals"
)

// Place is where a mountpoint lies: its pinned parent directory, and its name therein.
// Paths are resolved once, by Resolve, with the privileges of the caller.
type Place struct {
	parent int    // O_PATH
	name   string // without a slash; "." for the root directory
	Path   string // canonical, for messages and tables only

	// foreign says that Path is another process's: nothing is looked up by it, nor by a path that
	// the kernel tells of this place.
	foreign bool
}

// PlaceOf is a place that a client of the mount service has resolved. It takes over parent, the
// client's descriptor of the directory in which name lies. name has no slash and is neither . nor
// ..; path is for messages only.
func PlaceOf(parent int, name, path string) *Place {
	return &Place{parent: parent, name: name, Path: path, foreign: true}
}

// Parent is the descriptor of the directory, and Name what lies there. The descriptor stays p's.
func (p *Place) Parent() (fd int, name string) { return p.parent, p.name }

// AccessError says that a mountpoint cannot be reached.
type AccessError struct {
	Parent bool // an ancestor could not be resolved, else it is the mountpoint itself
	Path   string
	Errno  error
}

func (e *AccessError) Error() string {
	if e.Parent {
		return "bad mount point " + e.Path + ": " + Strerror(e.Errno)
	}
	return "failed to access mountpoint " + e.Path + ": " + Strerror(e.Errno)
}

func (e *AccessError) Unwrap() error { return e.Errno }

// Hint says what the caller can do. It tells no more than the error does: what is
// absent and what is hidden have the same text.
func (e *AccessError) Hint() string {
	switch {
	case errors.Is(e.Errno, unix.ENOTCONN):
		return "a FUSE file system whose daemon is gone is mounted there; unmount it: fusermount3 -u " + printable.ShellWord(e.Path)
	case errors.Is(e.Errno, unix.ENOENT) && e.Parent:
		return "a directory on the way to it does not exist"
	case errors.Is(e.Errno, unix.ENOENT):
		return "a mountpoint has to exist already: create it first"
	case errors.Is(e.Errno, unix.EACCES):
		return "a directory on the way to it is closed to you, or another user's FUSE file system is mounted there"
	}
	return ""
}

// Strerror gives the text of an error as C's strerror does: callers compare it.
func Strerror(err error) string {
	text := err.Error()
	var errno unix.Errno
	if errors.As(err, &errno) {
		text = errno.Error() // the same words in lower case
	}
	if text == "" {
		return "Unknown error"
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// Resolve pins the place that path names. The kernel follows all but the last component.
// That one is not looked up, which might ask a hung daemon, unless it is . or ..
func Resolve(path string) (*Place, error) {
	if path == "" {
		return nil, errors.New("invalid mountpoint ''")
	}
	if other := withoutDot(withoutDots(path)); other != path {
		if p, err := resolve(path, other); err == nil {
			return p, nil
		} // a directory above may be closed to the caller
	}
	return resolve(path, path)
}

// resolve resolves path; messages name given.
func resolve(given, path string) (*Place, error) {
	dir, name := split(path)
	if name == "." || name == ".." {
		fd, err := pathfd.Open(unix.AT_FDCWD, path, unix.O_DIRECTORY)
		if err == nil {
			path, err = pathfd.Path(fd)
			_ = unix.Close(fd) // nothing was done with it
		}
		if err == nil && (!strings.HasPrefix(path, "/") || !strings.HasPrefix(given, "/") && !Reachable()) {
			err = unix.ENOENT // outside of the process's root, or in a detached mount
		}
		if err != nil {
			return nil, &AccessError{Parent: true, Path: given, Errno: err}
		}
		dir, name = split(path)
	}
	parent, err := pathfd.Open(unix.AT_FDCWD, dir, 0)
	if err != nil {
		return nil, &AccessError{Parent: true, Path: given, Errno: err}
	}
	p := &Place{parent: parent, name: name, Path: given}
	if canonical, err := pathfd.Path(parent); err == nil { // else there is no /proc
		p.Path = join(canonical, name)
	}
	return p, nil
}

// split takes the last component off path, and the slashes around it: with a slash at
// its end, the parent would be followed as a directory.
func split(path string) (dir, name string) {
	path = strings.TrimRight(path, "/")
	if path == "" {
		return "/", "."
	}
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return ".", path
	}
	dir = strings.TrimRight(path[:i], "/")
	if dir == "" {
		dir = "/"
	}
	return dir, path[i+1:]
}

func join(dir, name string) string {
	if name == "." {
		return dir
	}
	return strings.TrimRight(dir, "/") + "/" + name
}

// ErrUnreachable is for a path from a current directory that is not Reachable.
var ErrUnreachable = errors.New("your working directory lies in a mount that is already detached, " +
	"or outside of the root directory: leave it ('cd /')")

// Reachable says whether the current directory can be reached from the root directory. One in a
// detached mount cannot, and /proc shows a path of it that leads elsewhere.
func Reachable() bool {
	buf := make([]byte, unix.PathMax)
	_, err := unix.Getcwd(buf) // asks no daemon
	return err != nil || buf[0] == '/'
}

// withoutDots replaces . and .. at the beginning by the current directory's path, and
// withoutDot takes /. off the end. So the kernel need not pass through that directory,
// which may be the root of the caller's own dead or hung mount: with default_permissions
// it asks the daemon for the permission to pass.
func withoutDots(path string) string {
	first, _, _ := strings.Cut(path, "/")
	if first != "." && first != ".." {
		return path
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Getcwd(buf) // asks no daemon
	if err != nil || buf[0] != '/' {
		return path // outside of the process's root
	}
	dir := string(buf[:n-1])
	for path != "" {
		first, rest, _ := strings.Cut(path, "/")
		switch first {
		case "", ".":
		case "..":
			dir, _ = split(dir) // the path is canonical, so its text can be used
		default:
			return join(dir, path)
		}
		path = rest
	}
	return dir
}

func withoutDot(path string) string {
	for {
		base, found := strings.CutSuffix(strings.TrimRight(path, "/"), "/.")
		base = strings.TrimRight(base, "/")
		if !found || base == "" {
			return path
		}
		// Behind a symbolic link it stays: it has the link followed.
		if _, err := unix.Readlink(base, make([]byte, 1)); !errors.Is(err, unix.EINVAL) {
			return path
		}
		path = base
	}
}

// Mountpoint is a pinned mountpoint: what is judged and what is mounted over are the
// same, whatever happens to the path.
type Mountpoint struct {
	fd    int // O_PATH
	place *Place
	Facts policy.Mountpoint // what Examine found
}

// Pin pins what lies at p, and examines it.
func (p *Place) Pin(c policy.Caller) (*Mountpoint, error) {
	fd, err := pathfd.Open(p.parent, p.name, unix.O_NOFOLLOW)
	if err != nil {
		return nil, &AccessError{Path: p.Path, Errno: err}
	}
	at := &Mountpoint{fd: fd, place: p}
	if err := at.Examine(c); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return at, nil
}

// Examine finds out what policy wants to know, with the privileges of the caller. It may
// ask a daemon.
func (at *Mountpoint) Examine(c policy.Caller) (err error) {
	if at.Facts, err = Describe(at.fd, at.place.Path, c); err != nil {
		return &AccessError{Path: at.place.Path, Errno: err}
	}
	return nil
}

// Describe is what policy wants to know of the mountpoint fd, for this caller.
func Describe(fd int, path string, c policy.Caller) (facts policy.Mountpoint, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return facts, err
	}
	facts = policy.Mountpoint{Path: path, Mode: st.Mode, Owner: st.Uid}
	if kind := st.Mode & unix.S_IFMT; c.Root() || kind != unix.S_IFDIR && kind != unix.S_IFREG {
		return facts, nil // not judged by the rest
	}
	// The kernel answers for the real ids, and knows of read-only mounts, ACLs and
	// security modules.
	err = unix.Faccessat2(fd, "", unix.W_OK, unix.AT_EMPTY_PATH)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // before 5.8, or a seccomp filter
		err = unix.Faccessat(unix.AT_FDCWD, pathfd.Link(fd), unix.W_OK, 0)
	}
	facts.Writable, facts.ReadOnly = err == nil, errors.Is(err, unix.EROFS) || errors.Is(err, unix.EPERM)
	var fs unix.Statfs_t
	if err := rawfile.RetryEINTR(func() error { return unix.Fstatfs(fd, &fs) }); err != nil {
		return facts, err
	}
	facts.FSType = uint64(fs.Type)
	if ^uint(0)>>32 == 0 { // on 32-bit machines f_type has 32 bits, and on some a sign
		facts.FSType = uint64(uint32(fs.Type))
	}
	return facts, nil
}

// maxLooks bounds how often somebody can make us look again by moving the mountpoint.
const maxLooks = 10

// verifyTopmost asks last, and then verifies that nothing lies on at, right before a
// mount is attached. The kernel attaches to whatever is topmost: that may be root's by
// now, and the caller could kill this process before it has taken the new mount back.
// Nothing else may be done between this and the attaching.
func (at *Mountpoint) verifyTopmost(last func() error) error {
	if err := last(); err != nil {
		return err
	}
	for range maxLooks {
		if at.isAt(at.place.parent, at.place.name) {
			return nil
		}
		if at.place.foreign {
			break
		}
		now, err := pathfd.Path(at.fd)
		if err != nil || at.isAt(unix.AT_FDCWD, now) { // without /proc, confirm looks afterwards
			return nil
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(at.fd, &st); err == nil && st.Nlink == 0 {
		return &MountError{Errno: unix.ENOENT}
	}
	return &MountError{Errno: unix.EBUSY, Message: "something else was mounted there meanwhile, or it was moved"}
}

// isAt says whether a name leads to at itself. Anything else that lies there is asked
// for its mount id only.
func (at *Mountpoint) isAt(parent int, name string) bool {
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

// Signals are held while a change of the mount table is incomplete. A name that is looked
// up meanwhile may have to be asked of a daemon, which may hang: signals are let through
// then, and one leaves a mount without a receiver, as SIGKILL does.

// holdOnSuccess makes a call that changes the mount table, with signals held. They stay
// held if it succeeds, since the change is then to be completed.
func holdOnSuccess(change func() error) error {
	before := signals.Held()
	if err := signals.Hold(); err != nil {
		return err
	}
	err := change()
	if err == nil || before {
		return err
	}
	return errors.Join(err, signals.Release())
}

// mayAsk says whether a lookup in the parent may ask a FUSE daemon.
func (p *Place) mayAsk() bool {
	e, _, err := mtab.ByFD(p.parent)
	return err != nil || mountopts.IsFuse(e.Type)
}

// lookUp makes a call that looks up a name in the parent, or enters it.
func (p *Place) lookUp(call func() error) error {
	if !signals.Held() || !p.mayAsk() {
		return call()
	}
	return signals.Through(call)
}

// open opens what lies at p. Nothing is followed.
func (p *Place) open() (fd int, err error) {
	err = p.lookUp(func() (err error) {
		fd, err = pathfd.Open(p.parent, p.name, unix.O_NOFOLLOW)
		return err
	})
	return fd, err
}

// CountFuse gives the number of FUSE file systems in this mount namespace, bind mounts not
// counted. Below limit it may be too high, but stays below limit.
//
// The cheapest way comes first: most callers are far from the limit, and must not pay for
// other users' mounts.
func CountFuse(limit int) (int, error) {
	if n, ok := mtab.CountMounts(); ok && n < limit {
		return n, nil
	}
	if n, ok := connections(); ok && n < limit {
		return n, nil
	}
	mounts, err := mtab.FuseByID()
	if err != nil {
		mounts, err = mtab.Fuse()
	}
	seen := map[uint32]bool{}
	for _, e := range mounts {
		seen[e.Connection()] = true
	}
	return len(seen), err
}

// FD is the pinned mountpoint's descriptor, which stays at's.
func (at *Mountpoint) FD() int { return at.fd }

// connections gives the number of FUSE connections of the whole system, at a constant cost.
func connections() (n int, ok bool) {
	fd, err := OpenControl()
	if err != nil {
		return 0, false
	}
	defer unix.Close(fd)
	n, err = Connections(fd)
	return n, err == nil
}

// OpenControl opens a FUSE control file system that is never attached anywhere, for Connections. The
// caller closes it.
func OpenControl() (fd int, err error) {
	context, err := fsopen("fusectl")
	if err != nil {
		return -1, err
	}
	defer unix.Close(context)
	if err := fsconfigCreate(context); err != nil {
		return -1, err
	}
	return fsmount(context, unix.MOUNT_ATTR_RDONLY)
}

// Connections gives the number of FUSE file systems in all mount namespaces: the root directory of
// fusectl has a link for each and two more.
func Connections(control int) (int, error) {
	var st unix.Stat_t
	err := unix.Fstat(control, &st)
	if err == nil && st.Nlink < 2 {
		err = unix.EINVAL
	}
	return int(st.Nlink) - 2, err
}
