package fusermount

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/pathfd"
)

// resolved follows a path whose last component is a symlink: a helper refuses
// these, since somebody could exchange it, but here it is the caller's own
// wish. It also names what . and .. stand for: under these names the mountpoint
// is found, and not what will be mounted on it. No directory is entered for that,
// which asks the daemon if it is a FUSE mount. All other paths stay as they are,
// but for slashes at the end, which helpers overlook.
func resolved(path string) (string, error) {
	name, base := split(path)
	switch {
	case name == ".":
		return unix.Getwd()
	case base == "..":
		dir, err := directory(above(name))
		return filepath.Dir(dir), err
	}
	if _, err := unix.Readlink(name, make([]byte, 1)); err != nil {
		return name, nil // no link, or nothing there: whoever mounts says so
	}
	return placeOf(name, 0)
}

// split takes off what does not change where a path leads, and gives also its last
// component.
func split(path string) (name, base string) {
	for name = path; ; name = name[:len(name)-1] {
		if name = strings.TrimRight(name, "/"); name == "" && path != "" {
			name = "/"
		}
		if !strings.HasSuffix(name, "/.") {
			return name, name[strings.LastIndexByte(name, '/')+1:]
		}
	}
}

// above gives what a path that ends in .. begins with.
func above(name string) string {
	if name == ".." {
		return "."
	}
	name, _ = split(strings.TrimSuffix(name, ".."))
	return name
}

// looksAt gives the path that is looked up when path is resolved.
func looksAt(path string) string {
	name, base := split(path)
	for base == ".." {
		name, base = split(above(name))
	}
	return name
}

// directory gives the absolute path of a directory, without symlinks.
func directory(path string) (string, error) {
	if name, base := split(path); name == "." || base == ".." {
		return resolved(name)
	}
	return placeOf(path, unix.O_DIRECTORY)
}

// placeOf gives the absolute path of what lies at another, without symlinks. Of
// what was deleted the kernel gives the old name with a remark, which may be the
// name of something else.
func placeOf(path string, flags int) (string, error) {
	fd, err := pathfd.Open(unix.AT_FDCWD, path, flags)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	place, err := os.Readlink(pathfd.Link(fd))
	if err != nil || !strings.HasSuffix(place, " (deleted)") {
		return place, err
	}
	again, err := pathfd.Open(unix.AT_FDCWD, place, unix.O_NOFOLLOW)
	if err != nil {
		return "", err
	}
	defer unix.Close(again)
	if !sameFile(fd, again) {
		return "", unix.ENOENT
	}
	return place, nil
}

// sameFile says whether two descriptors are of one file in one mount. Of another
// user's FUSE mount the kernel tells only that both are its root.
func sameFile(a, b int) bool {
	e, rootA, err := mtab.ByFD(a)
	f, rootB, other := mtab.ByFD(b)
	if err != nil || other != nil || !mtab.Same(e, f) {
		return false
	}
	var s, t unix.Statx_t
	const flags = unix.AT_EMPTY_PATH | unix.AT_STATX_DONT_SYNC
	if unix.Statx(a, "", flags, unix.STATX_INO, &s) != nil || unix.Statx(b, "", flags, unix.STATX_INO, &t) != nil {
		return rootA && rootB
	}
	return s.Ino == t.Ino
}
