// Package mtab reads the kernel's mount table, and keeps the two tables that
// user space has of it: libmount's utab and, where it is a regular file,
// /etc/mtab.
package mtab

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Entry is one mount of the table.
type Entry struct {
	// ID and Parent are mount ids. Unique says that they are the kind that is
	// never used again (Linux 6.8); the other kind may be.
	ID, Parent uint64
	Unique     bool

	Major, Minor uint32
	Mountpoint   string // as seen from the process's root
	Type         string // with its subtype: fuse.sshfs
	Source       string // empty where the kernel does not tell it in this way
	NoSuid       bool
	NoDev        bool
	// SuperOptions are the file system's own options, comma-separated.
	SuperOptions string
}

// Connection is the number by which fusectl knows the connection of a FUSE mount: the
// file system's device number, as the kernel itself writes it.
func (e Entry) Connection() uint32 { return e.Major<<20 | e.Minor }

// Owner gives the user_id of a FUSE mount: the whole number, so that no uid is
// taken for the beginning of another (CVE-2021-3995).
func (e Entry) Owner() (uid uint32, ok bool) {
	for option := range strings.SplitSeq(e.SuperOptions, ",") {
		if value, found := strings.CutPrefix(option, "user_id="); found {
			n, err := strconv.ParseUint(value, 10, 32)
			return uint32(n), err == nil
		}
	}
	return 0, false
}

var errMalformed = errors.New("malformed line in mountinfo")

// parseLine reads one line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
func parseLine(line string) (Entry, error) {
	before, after, found := strings.Cut(line, " - ")
	head := strings.Split(before, " ")
	tail := strings.Split(after, " ")
	if !found || len(head) < 6 || len(tail) < 3 {
		return Entry{}, fmt.Errorf("%w: %q", errMalformed, line)
	}
	var e Entry
	var err [4]error
	e.ID, err[0] = strconv.ParseUint(head[0], 10, 64)
	e.Parent, err[1] = strconv.ParseUint(head[1], 10, 64)
	major, minor, _ := strings.Cut(head[2], ":")
	e.Major, err[2] = parse32(major)
	e.Minor, err[3] = parse32(minor)
	if err := errors.Join(err[:]...); err != nil {
		return Entry{}, fmt.Errorf("%w: %q", errMalformed, line)
	}
	e.Mountpoint = Unescape(head[4])
	for option := range strings.SplitSeq(head[5], ",") {
		e.NoSuid = e.NoSuid || option == "nosuid"
		e.NoDev = e.NoDev || option == "nodev"
	}
	e.Type = Unescape(tail[0])
	e.Source = Unescape(tail[1])
	e.SuperOptions = tail[2]
	return e, nil
}

func parse32(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err
}

// each calls f for every line of a mountinfo text until f says stop. The table
// is the kernel's own; a line that cannot be read is an error and never a
// guess.
func each(text string, f func(Entry) (stop bool)) error {
	for line := range strings.SplitSeq(text, "\n") {
		if line == "" {
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
