package mount

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// fromRoot rewrites a path that begins or ends with . or .. so that the kernel need
// not go through the directory that these stand for: someone who stands in his own
// dead or hung mount wants to be rid of it, and where it has default_permissions the
// kernel asks the daemon for the right to pass. Other paths stay as they are.
func fromRoot(path string) string { return withoutDot(withoutDots(path)) }

// withoutDots takes . and .. off the beginning, by the path of the current directory.
func withoutDots(path string) string {
	first, _, _ := strings.Cut(path, "/")
	if first != "." && first != ".." {
		return path
	}
	dir, err := getcwd()
	if err != nil {
		return path
	}
	for path != "" {
		first, rest, _ := strings.Cut(path, "/")
		switch first {
		case "", ".":
		case "..":
			dir, _ = split(dir) // canonical, so that its text is true
		default:
			return join(dir, path)
		}
		path = rest
	}
	return dir
}

// withoutDot takes /. off the end where it stands behind no symlink, which it would
// follow.
func withoutDot(path string) string {
	for {
		base, found := strings.CutSuffix(strings.TrimRight(path, "/"), "/.")
		base = strings.TrimRight(base, "/")
		if !found || base == "" {
			return path
		}
		if _, err := unix.Readlink(base, make([]byte, 1)); !errors.Is(err, unix.EINVAL) {
			return path
		}
		path = base
	}
}

// getcwd gives the canonical path of the current directory. It asks no daemon.
func getcwd() (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Getcwd(buf)
	if err != nil {
		return "", err
	}
	dir := string(buf[:n-1])
	if !strings.HasPrefix(dir, "/") { // outside of the process's root
		return "", unix.ENOENT
	}
	return dir, nil
}
