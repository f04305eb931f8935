package connection

import (
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/rawfile"
)

const (
	// Path is where fusectl is mounted, if it is.
	Path = "/sys/fs/fuse/connections"

	magic = 0x65735543 // what statfs says of it (linux/magic.h)

	// ended is the max_background of a connection that has ended. A connection keeps
	// its directory until the last mount of it is gone, also when its daemon is dead.
	// Its end, by its daemon that closes the device or by a write to the file abort,
	// sets max_background to the highest number (fuse_abort_conn in the kernel;
	// measured on Linux 6.18). Nothing else can: what is written to the file, or
	// requested by a daemon, is at most 65535.
	ended = 1<<32 - 1
)

// ErrNotMounted says that there is no fusectl to ask.
var ErrNotMounted = errors.New("fusectl is not mounted at " + Path)

// Dir is a mounted fusectl. It shows each connection to its owner and to root. No
// daemon is asked through it, so nothing waits for one.
type Dir struct{ fd int }

// Open opens fusectl. Whatever else lies at its path is not believed.
func Open() (Dir, error) {
	fd, err := open(unix.AT_FDCWD, Path, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return Dir{}, ErrNotMounted
	}
	var fs unix.Statfs_t
	if err := rawfile.RetryEINTR(func() error { return unix.Fstatfs(fd, &fs) }); err != nil || fs.Type != magic {
		return Dir{}, errors.Join(ErrNotMounted, unix.Close(fd))
	}
	return Dir{fd: fd}, nil
}

// OpenAs opens fusectl where it is mounted, or one that is attached nowhere, which
// takes CAP_SYS_ADMIN.
func OpenAs(who Caller) (Dir, error) {
	d, err := Open()
	if err == nil || !who.Admin {
		return d, err
	}
	context, other := unix.Fsopen("fusectl", unix.FSOPEN_CLOEXEC)
	if other != nil {
		return d, err
	}
	defer unix.Close(context)
	if unix.FsconfigCreate(context) != nil {
		return d, err
	}
	root, other := unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, 0)
	if other != nil {
		return d, err
	}
	return Dir{fd: root}, nil
}

// Close closes d.
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
	background, err := d.value(number, "max_background")
	if err != nil {
		return Status{}, err
	}
	waiting, err := d.value(number, "waiting")
	return Status{Waiting: int(waiting), Ended: background == ended}, err
}

// Abort ends a connection: each process that waits for its daemon gets an error.
func (d Dir) Abort(number uint32) error {
	return d.AbortIf(number, func() error { return nil })
}

// AbortIf is Abort if check, called in between, has no error. The file is open by
// then, and belongs to its connection, not to the next one with the same number: if
// check still finds the connection, nothing else can be aborted.
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

func (d Dir) value(number uint32, file string) (n uint64, err error) {
	fd, err := open(d.fd, name(number, file), unix.O_RDONLY)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	text, err := rawfile.TextOf(fd, 32)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(text), 10, 32)
}

func name(number uint32, file string) string {
	return strconv.FormatUint(uint64(number), 10) + "/" + file
}

func open(dir int, path string, flags int) (int, error) {
	return rawfile.Openat(dir, path, flags|unix.O_NOFOLLOW, 0)
}
