package collect

import (
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mount"
	"github.com/go-fusermount/fusermount/internal/mountopts"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// Found is where a path leads. The descriptor is O_PATH, and its owner closes it.
type Found struct {
	FD   int
	Path string // canonical where it could be had, else as it was given
	// Mount is the entry of the mount in which FD lies. It is FUSE in two cases:
	// the path leads to the root of a FUSE mount, or Inside, which ends the search
	// at that mount: to look up a name in it would be to ask its daemon.
	Mount  mtab.Entry
	Inside bool
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

// Find follows a path to a mountpoint as mounting does: the last component is not
// followed if it is a link.
func Find(path string) (Found, error) {
	w := &walk{at: Found{FD: -1}, left: components(path)}
	err := w.start(path)
	for err == nil && len(w.left) > 0 && !w.at.FUSE() {
		err = w.step()
	}
	if err != nil {
		return Found{}, &mount.AccessError{Parent: len(w.left) > 0, Path: path, Errno: errors.Join(err, w.leave())}
	}
	w.at.Inside = len(w.left) > 0
	w.at.Path = linkText("/proc/self/fd/" + strconv.Itoa(w.at.FD))
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

// start begins at the root or at the working directory, which is not looked up by
// the name ".": that would be to look into it.
func (w *walk) start(path string) error {
	from := "/proc/self/cwd"
	if strings.HasPrefix(path, "/") {
		from = "/"
	}
	found, err := pin(unix.AT_FDCWD, from, 0)
	if err != nil {
		return err
	}
	w.at = found
	return nil
}

// step goes one component further.
func (w *walk) step() error {
	name := w.left[0]
	w.left = w.left[1:]
	next, err := pin(w.at.FD, name, unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	if len(w.left) == 0 || next.FUSE() {
		return w.move(next)
	}
	target, isLink, err := readLink(next.FD)
	if err != nil || !isLink {
		return errors.Join(err, w.move(next))
	}
	if err := next.Close(); err != nil {
		return err
	}
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
	fd, err := rawfile.Openat(dir, name, unix.O_PATH|flags, 0)
	if err != nil {
		return Found{}, err
	}
	e, _, err := mtab.ByFD(fd)
	if err != nil {
		return Found{}, errors.Join(err, unix.Close(fd))
	}
	return Found{FD: fd, Mount: e}, nil
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
