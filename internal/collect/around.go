package collect

import (
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/diagnose"
	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// Filters counts the seccomp filters that hold for this process: 1 where the
// kernel does not count, but has some.
func Filters() int {
	text, err := smallFile("/proc/self/status")
	if err != nil {
		return 0
	}
	mode, count := 0, 1
	for line := range strings.SplitSeq(text, "\n") {
		name, value, _ := strings.Cut(line, ":")
		n, err := strconv.Atoi(strings.TrimSpace(value))
		switch {
		case err != nil:
		case name == "Seccomp":
			mode = n
		case name == "Seccomp_filters":
			count = n
		}
	}
	if mode != unix.SECCOMP_MODE_FILTER {
		return 0
	}
	return count
}

// Around finds out what surrounds the process. filters is what Filters gave
// before the process made one itself.
func Around(filters int) diagnose.Around {
	a := diagnose.Around{
		Release:     firstLine("/proc/sys/kernel/osrelease"),
		InitialUser: linkText("/proc/self/ns/user") == initialUser,
		IDs:         strings.Join(strings.Fields(firstLine("/proc/self/uid_map")), " "),
		OuterMounts: outerMounts(),
		Container:   container(),
		Filters:     filters,
		NewMount:    feature(hasFsconfig()),
		Statmount:   feature(hasStatmount()),
	}
	a.Profile, a.Mode = Profile()
	return a
}

// initialUser is the first user namespace: its number is the same on every
// machine (linux/nsfs.h).
const initialUser = "user:[4026531837]"

// outerMounts says whether the mount namespace belongs to a user namespace that is
// not ours or inside of ours: nothing that we are can mount there.
func outerMounts() bool {
	fd, err := rawfile.Open("/proc/self/ns/mnt", unix.O_RDONLY, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	owner, err := unix.IoctlRetInt(fd, unix.NS_GET_USERNS)
	if err == nil {
		_ = unix.Close(owner) // it was only to be had
	}
	return errors.Is(err, unix.EPERM)
}

// container says which of the usual signs of a container is there.
func container() string {
	if name := firstLine("/run/systemd/container"); name != "" {
		return name
	}
	for _, sign := range []string{"/run/.containerenv", "/.dockerenv"} {
		var st unix.Stat_t
		if unix.Lstat(sign, &st) == nil {
			return sign
		}
	}
	return ""
}

// feature reads the error of a call that was made with impossible arguments.
func feature(err error) diagnose.Feature {
	switch {
	case errors.Is(err, unix.ENOSYS):
		return diagnose.Absent
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return diagnose.Forbidden
	}
	return diagnose.Present
}

// hasFsconfig asks for the new mount API by a call of it that needs no privilege.
func hasFsconfig() error {
	_, _, errno := unix.RawSyscall6(unix.SYS_FSCONFIG, ^uintptr(0), 0, 0, 0, 0, 0)
	return errno
}

func hasStatmount() error {
	_, _, errno := unix.RawSyscall6(unix.SYS_STATMOUNT, 0, 0, 0, 0, 0, 0)
	return errno
}

// firstLine is for files of which less than that is of no use.
func firstLine(path string) string {
	text, err := smallFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(text, "\n")
	return line
}

func linkText(path string) string {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlink(path, buf)
	if err != nil {
		return ""
	}
	return string(buf[:n])
}
