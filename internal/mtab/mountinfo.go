package mtab

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mountopts"
	"github.com/go-fusermount/fusermount/internal/rawfile"
)

const mountinfoPath = "/proc/self/mountinfo"

// mountinfo reads the table. The error is not wrapped: that this file is missing (there is
// no /proc) must not be taken for the absence of a mount.
func mountinfo() (string, error) {
	text, err := rawfile.Text(mountinfoPath)
	var errno unix.Errno
	if errors.As(err, &errno) {
		err = errno
	}
	if err != nil {
		return "", errors.New("the mount table cannot be read: " + mountinfoPath + ": " + err.Error())
	}
	return text, nil
}

// readable says whether the table can be read.
func readable() (bool, error) {
	_, err := mountinfo()
	return err == nil, err
}

var errMalformed = errors.New("malformed line in mountinfo")

// parseLine reads one line (proc_pid_mountinfo(5)).
func parseLine(line string) (Entry, error) {
	before, after, found := strings.Cut(line, " - ")
	head := strings.Split(before, " ")
	tail := strings.Split(after, " ")
	if !found || len(head) < 6 || len(tail) < 3 {
		return Entry{}, fmt.Errorf("%w: %q", errMalformed, line)
	}
	major, minor, _ := strings.Cut(head[2], ":")
	var numbers [4]uint64
	for i, field := range [...]string{head[0], head[1], major, minor} {
		var err error
		if numbers[i], err = strconv.ParseUint(field, 10, [...]int{64, 64, 32, 32}[i]); err != nil {
			return Entry{}, fmt.Errorf("%w: %q", errMalformed, line)
		}
	}
	options := strings.Split(head[5], ",")
	return Entry{
		ID: numbers[0], Parent: numbers[1], Major: uint32(numbers[2]), Minor: uint32(numbers[3]),
		Mountpoint: Unescape(head[4]), Type: Unescape(tail[0]), Source: Unescape(tail[1]),
		NoSuid: slices.Contains(options, "nosuid"), NoDev: slices.Contains(options, "nodev"),
		Options: head[5], SuperOptions: tail[2],
	}, nil
}

// each calls f for every line with these words until f says stop. A line that cannot be
// parsed is an error, and never a guess.
func each(text, words string, f func(Entry) (stop bool)) error {
	for line := range strings.SplitSeq(text, "\n") {
		if line == "" || !strings.Contains(line, words) {
			continue
		}
		e, err := parseLine(line)
		if err != nil {
			return err
		}
		if f(e) {
			return nil
		}
	}
	return nil
}

// Fuse gives the FUSE mounts that can be reached from the process's root, in the order of
// the table: of two at one place, the upper one comes later.
func Fuse() ([]Entry, error) {
	text, err := mountinfo()
	if err != nil {
		return nil, err
	}
	return fuseIn(text)
}

func fuseIn(text string) (mounts []Entry, err error) {
	err = each(text, " - fuse", func(e Entry) (stop bool) { // most lines are not worth parsing
		if mountopts.IsFuse(e.Type) {
			mounts = append(mounts, e)
		}
		return false
	})
	return mounts, err
}
