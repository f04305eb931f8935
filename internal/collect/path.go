package collect

import (
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/diagnose"
	"github.com/go-fusermount/fusermount/internal/fstypes"
	"github.com/go-fusermount/fusermount/internal/fuseconf"
	"github.com/go-fusermount/fusermount/internal/mount"
	"github.com/go-fusermount/fusermount/internal/mountopts"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/pathfd"
	"github.com/go-fusermount/fusermount/internal/policy"
)

// Found is where a path leads. The descriptor is O_PATH, and its owner closes it.
type Found struct {
	FD   int
	Path string // canonical where it could be had, else as it was given
	// Mount is the entry of the mount in which FD lies; it is empty where that is not listed,
	// below a plain directory as root directory. It is FUSE in two cases:
	// the path leads to the root of a FUSE mount, or Inside, which ends the search
	// at that mount: to look up a name in it would be to ask its daemon.
	Mount  mtab.Entry
	Inside bool
	Link   bool // the last component was a symbolic link
}

// FUSE says whether the path leads to or into a FUSE mount.
func (f Found) FUSE() bool { return mountopts.IsFuse(f.Mount.Type) }

// Close gives f up.
func (f Found) Close() error { return unix.Close(f.FD) }

// walk is a search by steps, so that each directory can be looked at before a name
// is looked up in it.
type walk struct {
	at    Found
	left  []string // components still to go
	links int      // symbolic links that were followed
}

// maxLinks bounds the links on one path, as the kernel does.
const maxLinks = 40

// Find follows a path as the kernel does, the last component as well.
func Find(path string) (Found, error) {
	w := &walk{at: Found{FD: -1}, left: components(path)}
	err := w.start(path)
	if errors.Is(err, mount.ErrUnreachable) {
		return Found{}, err
	}
	for err == nil && len(w.left) > 0 && !w.at.FUSE() {
		err = w.step()
	}
	if err != nil {
		return Found{}, &mount.AccessError{Parent: len(w.left) > 0, Path: path, Errno: errors.Join(err, w.leave())}
	}
	w.at.Inside = len(w.left) > 0
	w.at.Path = linkText(pathfd.Link(w.at.FD))
	if w.at.Path == "" || w.at.Inside {
		w.at.Path = path
	}
	return w.at, nil
}

func components(path string) (names []string) {
	for name := range strings.SplitSeq(path, "/") {
		if name != "" && name != "." {
			names = append(names, name)
		}
	}
	return names
}

// start begins at the root or at the working directory.
func (w *walk) start(path string) (err error) {
	if strings.HasPrefix(path, "/") {
		w.at, err = pin(unix.AT_FDCWD, "/", 0)
		return err
	}
	if !mount.Reachable() {
		return mount.ErrUnreachable
	}
	if w.at, err = pin(unix.AT_FDCWD, "/proc/self/cwd", 0); err == nil {
		return nil
	}
	// Without /proc the name "." does not do: to open it is to look into the directory.
	fd, err := unix.OpenTree(unix.AT_FDCWD, "", unix.AT_EMPTY_PATH|unix.OPEN_TREE_CLOEXEC)
	if err == nil {
		w.at, err = pinned(fd)
	}
	return err
}

// step goes one component further.
func (w *walk) step() error {
	name := w.left[0]
	w.left = w.left[1:]
	next, err := pin(w.at.FD, name, unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	if next.FUSE() {
		return w.move(next)
	}
	target, isLink, err := readLink(next.FD)
	if err != nil || !isLink {
		return errors.Join(err, w.move(next))
	}
	if err := next.Close(); err != nil {
		return err
	}
	w.at.Link = w.at.Link || len(w.left) == 0
	if w.links++; w.links > maxLinks {
		return unix.ELOOP
	}
	w.left = append(components(target), w.left...)
	if !strings.HasPrefix(target, "/") {
		return nil // it goes on from where the link lies
	}
	root, err := pin(unix.AT_FDCWD, "/", 0)
	if err != nil {
		return err
	}
	return w.move(root)
}

func (w *walk) move(next Found) error {
	err := w.leave()
	next.Link = w.at.Link
	w.at = next
	return err
}

func (w *walk) leave() error {
	if w.at.FD < 0 {
		return nil
	}
	return w.at.Close()
}

// pin opens a name with O_PATH and reads in which mount it lies.
func pin(dir int, name string, flags int) (Found, error) {
	fd, err := pathfd.Open(dir, name, flags)
	if err != nil {
		return Found{FD: -1}, err
	}
	return pinned(fd)
}

// pinned takes fd over.
func pinned(fd int) (Found, error) {
	e, _, err := mtab.ByFD(fd)
	if err != nil && onRootMount(fd) {
		return Found{FD: fd}, nil
	}
	if err != nil {
		return Found{FD: -1}, errors.Join(err, unix.Close(fd))
	}
	return Found{FD: fd, Mount: e}, nil
}

// onRootMount says whether fd lies in the mount of the root directory. Where that is a plain
// directory (chroot(2)), this mount is not listed, and its type is not known: it is taken for
// one that needs no care, since this program was itself read from there.
func onRootMount(fd int) bool {
	id, _, err := mtab.UniqueID(fd, "", unix.AT_EMPTY_PATH)
	root, _, other := mtab.UniqueID(unix.AT_FDCWD, "/", 0)
	return err == nil && other == nil && id == root
}

// readLink reads a symbolic link that does not lie in a FUSE mount.
func readLink(fd int) (target string, isLink bool, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return "", false, err
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	return string(buf[:max(n, 0)]), true, err
}

// Place judges a path as mounting would, and stops at FUSE. mounts are those of the
// table.
func Place(path string, c policy.Caller, settings fuseconf.Settings, mounts []diagnose.Mount) *diagnose.Place {
	found, err := Find(path)
	if err != nil {
		return &diagnose.Place{Path: path, Problem: problem(err)}
	}
	defer found.Close()
	place := &diagnose.Place{Path: found.Path}
	if found.Link {
		place.Link = path
	}
	if found.FUSE() {
		if m := listed(found, mounts); found.Inside {
			place.Through = m
		} else {
			place.Mounted = m
			m.Users = Users(found.Mount)
		}
		return place
	}
	facts, err := mount.Describe(found.FD, found.Path, c)
	if err != nil {
		place.Problem = problem(&mount.AccessError{Path: found.Path, Errno: err})
		return place
	}
	place.Problem = problem(policy.Over(c, settings, facts))
	place.Kind = "file"
	if facts.IsDirectory() {
		place.Kind = "directory"
	}
	place.FSName = fstypes.Name(facts.FSType)
	return place
}

// problem is an error as mounting would tell it.
func problem(err error) *diagnose.Problem {
	if err == nil {
		return nil
	}
	p := &diagnose.Problem{Text: err.Error()}
	if errors.Is(err, mount.ErrUnreachable) {
		p.Text, p.Next, _ = strings.Cut(p.Text, ": ")
	}
	var access *mount.AccessError
	var refusal *policy.Refusal
	if errors.As(err, &access) {
		p.Next = access.Hint()
	} else if errors.As(err, &refusal) {
		p.Next = refusal.Advice
	}
	return p
}

// listed finds the mount that was met among those of the table. One that is not there
// was mounted meanwhile, or lies outside of the process's root.
func listed(found Found, mounts []diagnose.Mount) *diagnose.Mount {
	e := found.Mount
	if i := slices.IndexFunc(mounts, func(m diagnose.Mount) bool { return m.ID == e.ID }); i >= 0 {
		return &mounts[i]
	}
	owner, _ := e.Owner()
	return &diagnose.Mount{
		Mountpoint: found.Path, Type: e.Type, Owner: owner, FSOptions: e.SuperOptions, ID: e.ID,
		State: diagnose.Unknown, Waiting: -1,
	}
}
