package mtab

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// lockWait bounds the wait for a lock: anybody who may open utab.lock may hold
// it for ever, and a mount must not wait for him.
const (
	lockWait  = 2 * time.Second
	lockRetry = 10 * time.Millisecond
)

var errLockHeld = errors.New("its lock is held by another process")

// lockUtab takes libmount's lock: flock on a file that stays.
func lockUtab() (unlock func() error, err error) {
	return waitFor(func() (func() error, error) {
		fd, err := rawfile.Open(utabLockPath, unix.O_RDONLY|unix.O_CREAT|unix.O_NOFOLLOW, 0o644)
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
			return nil, errors.Join(retryIf(err, unix.EWOULDBLOCK), unix.Close(fd))
		}
		return func() error { return unix.Close(fd) }, nil
	})
}

// lockMtab takes the old lock of /etc/mtab: a file that exists, and is
// write-locked by its maker, as long as the lock is held. One that exists
// without that lock was left by somebody who was killed, and is taken over.
func lockMtab() (unlock func() error, err error) {
	return waitFor(func() (func() error, error) {
		fd, err := rawfile.Open(mtabLockPath, unix.O_WRONLY|unix.O_CREAT|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		whole := unix.Flock_t{Type: unix.F_WRLCK}
		if err := unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &whole); err != nil {
			return nil, errors.Join(retryIf(err, unix.EAGAIN, unix.EACCES), unix.Close(fd))
		}
		if !stillAt(fd, mtabLockPath) { // its last holder removed it meanwhile
			return nil, errors.Join(errRetry, unix.Close(fd))
		}
		return func() error { return errors.Join(unix.Unlink(mtabLockPath), unix.Close(fd)) }, nil
	})
}

// errRetry says that the lock may be free in a moment.
var errRetry = errors.New("try again")

func retryIf(err error, busy ...error) error {
	for _, b := range append(busy, unix.EINTR) {
		if errors.Is(err, b) {
			return errRetry
		}
	}
	return err
}

func waitFor(try func() (func() error, error)) (func() error, error) {
	for deadline := time.Now().Add(lockWait); ; {
		unlock, err := try()
		if err == nil || !errors.Is(err, errRetry) {
			return unlock, err
		}
		if time.Now().After(deadline) {
			return nil, errLockHeld
		}
		pause := unix.NsecToTimespec(lockRetry.Nanoseconds())
		if err := unix.Nanosleep(&pause, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return nil, err
		}
	}
}

func stillAt(fd int, path string) bool {
	var a, b unix.Stat_t
	return unix.Fstat(fd, &a) == nil && unix.Lstat(path, &b) == nil && a.Dev == b.Dev && a.Ino == b.Ino
}
