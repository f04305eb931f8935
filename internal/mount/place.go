// Package mount makes the system calls that mount and unmount. It decides
// nothing: what it does to the mount table follows from a plan that package
// policy granted, and everything it touches was pinned by a descriptor first.
package mount

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/pathfd"
)

// Place is where a mountpoint lies: its parent directory, pinned, and its name
// therein. Paths are resolved once, by Resolve, with the rights of the caller;
// from then on only the descriptor and the name count.
type Place struct {
	parent int    // O_PATH descriptor of the parent directory
	name   string // never with a slash; "." for the root directory
	path   string // canonical, for messages and tables only
}

// Path is the canonical path, for messages and tables only.
func (p *Place) Path() string { return p.path }

// AccessError says that a mountpoint cannot be reached. Its text is part of
// the contract with callers.
type AccessError struct {
	// Parent says that the way to the mountpoint could not be resolved; else
	// it is the mountpoint itself.
	Parent bool
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
// absent and what is hidden have the same words.
func (e *AccessError) Hint() string {
	switch {
	case errors.Is(e.Errno, unix.ENOTCONN):
		return "a FUSE file system whose daemon is gone is mounted there: take it away with 'fusermount3 -u'"
	case errors.Is(e.Errno, unix.ENOENT) && e.Parent:
		return "a directory on the way to it does not exist"
	case errors.Is(e.Errno, unix.ENOENT):
		return "a mountpoint has to exist already: create it first"
	case errors.Is(e.Errno, unix.EACCES):
		return "a directory on the way to it is closed to you, or another user's FUSE file system is mounted there"
	}
	return ""
}

// Resolve pins the place that path names. All but the last component is
// followed as the kernel does it; the last is not looked at, since asking what
// lies there might ask a daemon that hangs. A path that ends in . or .. stands
// for the directory that it names.
func Resolve(path string) (*Place, error) {
	if path == "" {
		return nil, errors.New("invalid mountpoint ''")
	}
	if other := fromRoot(path); other != path {
		if p, err := resolve(path, other); err == nil {
			return p, nil
		} // a directory above may be closed to the caller
	}
	return resolve(path, path)
}

// resolve resolves path for messages about given.
func resolve(given, path string) (*Place, error) {
	dir, name := split(path)
	if name == "." || name == ".." {
		canonical, err := canonicalDir(path)
		if err != nil {
			return nil, &AccessError{Parent: true, Path: given, Errno: err}
		}
		dir, name = split(canonical)
		if canonical == "/" {
			dir, name = "/", "."
		}
	}
	parent, err := pathfd.Open(unix.AT_FDCWD, dir, 0)
	if err != nil {
		return nil, &AccessError{Parent: true, Path: given, Errno: err}
	}
	p := &Place{parent: parent, name: name, path: given}
	// Without /proc the path stays as it was given: it is only for messages.
	if canonical, err := pathfd.Path(parent); err == nil {
		p.path = join(canonical, name)
	}
	return p, nil
}

// split takes the last component off path, and the slashes around it. A slash
// left at the end of the parent would have it followed as a directory already.
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

// canonicalDir gives the path by which the kernel knows a directory.
func canonicalDir(path string) (string, error) {
	fd, err := pathfd.Open(unix.AT_FDCWD, path, unix.O_DIRECTORY)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	canonical, err := pathfd.Path(fd)
	if err == nil && !strings.HasPrefix(canonical, "/") {
		err = unix.ENOENT // outside of the process's root
	}
	return canonical, err
}
