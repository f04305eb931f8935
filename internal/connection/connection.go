// Package connection reads and aborts FUSE connections through the kernel's control
// file system for them, as the caller: the kernel shows each connection to its
// owner alone. A connection's daemon is never asked, so nothing here waits for
// one.
//
// A connection keeps its directory until the last mount of it is gone, also when
// its daemon is dead; waiting is 0 then. What tells the two apart was measured on
// Linux 6.18 and stands in the sources of older kernels (fuse_abort_conn): the end
// of a connection, by its daemon that closes the device or by a write to the file
// abort, sets max_background to the highest number that there is. Nobody else can:
// what is written to the file, or asked for by a daemon, is at most 65535.
package connection

import (
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/rawfile"
)

const (
	// Path is where fusectl is mounted, if it is.
	Path = mtab.ConnectionsPath

	// ended is the max_background of a connection that has come to its end.
	ended = 1<<32 - 1
)

// ErrNotMounted says that there is no fusectl to ask.
var ErrNotMounted = errors.New("fusectl is not mounted at " + Path)

// Dir is a mounted fusectl.
type Dir struct{ fd int }

// Open opens fusectl. Whatever else lies at its path is not believed.
func Open() (Dir, error) {
	fd, err := open(unix.AT_FDCWD, Path, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return Dir{}, ErrNotMounted
	}
	var fs unix.Statfs_t
	if err := rawfile.RetryEINTR(func() error { return unix.Fstatfs(fd, &fs) }); err != nil || fs.Type != mtab.ConnectionsMagic {
		return Dir{}, errors.Join(ErrNotMounted, unix.Close(fd))
	}
	return Dir{fd: fd}, nil
}

// At is a fusectl whose root is open already, and becomes d's.
func At(root int) Dir { return Dir{fd: root} }

// Close gives d up.
func (d Dir) Close() error { return unix.Close(d.fd) }

// Status is what the kernel says of a connection.
type Status struct {
	// Waiting is the number of requests that its daemon has not answered.
	Waiting int
	// Ended says that there is no daemon any more.
	Ended bool
}

// Status looks at a connection. The error is EACCES for another user's.
func (d Dir) Status(number uint32) (Status, error) {
	background, err := d.number(number, "max_background")
	if err != nil {
		return Status{}, err
	}
	waiting, err := d.number(number, "waiting")
	return Status{Waiting: int(waiting), Ended: background == ended}, err
}

// Abort ends a connection: all who wait for its daemon get an error.
func (d Dir) Abort(number uint32) error {
	return d.AbortIf(number, func() error { return nil })
}

// AbortIf is Abort if check, called in between, has no error. What check finds to
// live, under this number since before the call, is what is aborted, and nothing
// else: the file is open by then, and belongs to its connection, not to whoever
// gets the number after that one's end.
func (d Dir) AbortIf(number uint32, check func() error) error {
	fd, err := open(d.fd, name(number, "abort"), unix.O_WRONLY)
	if err != nil {
		return err
	}
	if err = check(); err == nil {
		err = rawfile.WriteAll(fd, "1")
	}
	return errors.Join(err, unix.Close(fd))
}

func (d Dir) number(number uint32, file string) (n uint64, err error) {
	fd, err := open(d.fd, name(number, file), unix.O_RDONLY)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	var buf [32]byte
	size, err := rawfile.Reader(fd).Read(buf[:])
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(buf[:size])), 10, 32)
}

func name(number uint32, file string) string {
	return strconv.FormatUint(uint64(number), 10) + "/" + file
}

func open(dir int, path string, flags int) (int, error) {
	return rawfile.Openat(dir, path, flags|unix.O_NOFOLLOW, 0)
}
