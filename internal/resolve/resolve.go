//go:build linux

// Package resolve turns the path of a mountpoint, as a user gives it, into the one that
// mounts and unmounts use.
package resolve

import (
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/pathfd"
)

// Path follows a path whose last component is a symlink: a helper refuses these, since
// another user could exchange the link, but here it is the caller's own. It also
// replaces . and .. by names, which lead to the mountpoint and not to what will be
// mounted on it. It enters no directory, which would ask the daemon of a FUSE mount. All
// other paths stay as they are, but for slashes at the end, which helpers ignore.
func Path(path string) (string, error) {
	name, base := split(path)
	switch {
	case name == ".":
		return unix.Getwd()
	case base == "..":
		dir, err := directory(parent(name))
		return filepath.Dir(dir), err
	}
	if _, err := unix.Readlink(name, make([]byte, 1)); err != nil {
		return name, nil // no symlink, or nothing there, which the mount reports
	}
	return canonical(name, 0)
}

// LookedUp returns the path that the kernel looks up for [Path].
func LookedUp(path string) string {
	name, base := split(path)
	for base == ".." {
		name, base = split(parent(name))
	}
	return name
}

// split removes slashes and dots at the end that do not change where a path leads, and
// also returns its last component.
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

// parent removes the .. at the end of a path.
func parent(name string) string {
	if name == ".." {
		return "."
	}
	name, _ = split(strings.TrimSuffix(name, ".."))
	return name
}

// directory returns the absolute path of a directory, without symlinks.
func directory(path string) (string, error) {
	if name, base := split(path); name == "." || base == ".." {
		return Path(name)
	}
	return canonical(path, unix.O_DIRECTORY)
}

// canonical returns the absolute path of a file, without symlinks. For a deleted file
// the kernel gives the old path and a remark, and that may be the path of another file.
func canonical(path string, flags int) (string, error) {
	fd, err := pathfd.Open(unix.AT_FDCWD, path, flags)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	found, err := pathfd.Path(fd)
	if err != nil || !strings.HasSuffix(found, " (deleted)") {
		return found, err
	}
	again, err := pathfd.Open(unix.AT_FDCWD, found, unix.O_NOFOLLOW)
	if err != nil {
		return "", err
	}
	defer unix.Close(again)
	if !sameFile(fd, again) {
		return "", unix.ENOENT
	}
	return found, nil
}

// sameFile reports whether two descriptors are of one file in one mount. For another
// user's FUSE mount the kernel tells only that both are its root.
func sameFile(a, b int) bool {
	entryA, rootA, errA := mtab.ByFD(a)
	entryB, rootB, errB := mtab.ByFD(b)
	if errA != nil || errB != nil || !mtab.Same(entryA, entryB) {
		return false
	}
	var s, t unix.Statx_t
	const flags = unix.AT_EMPTY_PATH | unix.AT_STATX_DONT_SYNC
	if unix.Statx(a, "", flags, unix.STATX_INO, &s) != nil || unix.Statx(b, "", flags, unix.STATX_INO, &t) != nil {
		return rootA && rootB
	}
	return s.Ino == t.Ino
}
