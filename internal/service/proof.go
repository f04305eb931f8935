//go:build linux

package service

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mount"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/pathfd"
	"github.com/go-fusermount/fusermount/internal/policy"
)

// proven verifies that the client could write to the mountpoint: into a directory they have made a
// file with a name that only they know, and a file they could open. So the kernel has judged them,
// with everything that it knows of them (Landlock, security modules). Ids alone do not tell that.
func (w *worker) proven(at *mount.Mountpoint, fds []int) error {
	refusal := unproven(at.Facts.Path)
	if at.Facts.IsDirectory() {
		return w.provenIn(at.FD(), refusal)
	}
	if len(fds) < 3 {
		return refusal
	}
	flags, err := unix.FcntlInt(uintptr(fds[2]), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_PATH != 0 || flags&unix.O_ACCMODE == unix.O_RDONLY {
		return refusal
	}
	var file, there unix.Stat_t
	same, err := mtab.SameMount(fds[2], at.FD())
	err = errors.Join(err, unix.Fstat(fds[2], &file), unix.Fstat(at.FD(), &there))
	if err != nil || !same || file.Dev != there.Dev || file.Ino != there.Ino {
		return refusal
	}
	return nil
}

func unproven(path string) error {
	return &policy.Refusal{
		Reason: "user has no write access to mountpoint " + path,
		Advice: "the client could not write there: a sandbox may forbid it",
	}
}

// provenIn looks for the file that proves write access to a directory.
func (w *worker) provenIn(dir int, refusal error) error {
	fd, err := pathfd.Open(dir, w.nonce.Name(), unix.O_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return refusal
	}
	if err != nil {
		return fmt.Errorf("proof of write access: %w", err)
	}
	return unix.Close(fd)
}

// provenToServe verifies that the client could write to the directory at which a volume is served.
func (w *worker) provenToServe() error {
	dir, err := pathfd.Open(w.terms.Volume, VolumeServe, unix.O_NOFOLLOW|unix.O_DIRECTORY)
	if err != nil {
		return fmt.Errorf("proof of write access: %w", err)
	}
	return errors.Join(w.provenIn(dir, unproven(w.outcome.Mountpoint)), unix.Close(dir))
}

// supersede takes away what the volume has served, which would be in the way, for a client who may
// serve it.
func (w *worker) supersede() error {
	if err := w.provenToServe(); err != nil {
		return err
	}
	return w.terms.clear()
}
