package mtab

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// bounded is more than the two waits of one change.
const bounded = 3 * lockWait

// The wait for a lock that is held for ever is bounded, and the tables stay unchanged.
func TestLocksHeld(t *testing.T) {
	twoTables(t)
	holder := startChild(t, "hold")
	start := time.Now()
	err := Add(record)
	took := time.Since(start)
	if !errors.Is(err, errLockHeld) || took < lockWait || took > bounded {
		t.Errorf("after %v: %v", took, err)
	}
	for _, path := range []string{UtabPath, MtabPath} {
		if err == nil || !strings.Contains(err.Error(), path+" not updated: its lock is held by another process") {
			t.Errorf("%v; want a word on %s", err, path)
		}
	}
	wantTables(t, utabBefore, mtabBefore)
	if _, err := os.Lstat(mtabLockPath); err != nil {
		t.Errorf("the holder's lock is gone: %v", err)
	}
	holder.release(t)
	holder.finish(t)
	must(t, Add(record))
	wantTables(t, utabBefore+utabLine, mtabBefore+mtabLine)
}

// A lock that is released in time is waited for.
func TestLocksReleased(t *testing.T) {
	twoTables(t)
	holder := startChild(t, "hold")
	done := make(chan error)
	go func() { done <- Add(record) }()
	holder.release(t)
	holder.finish(t)
	must(t, <-done)
	wantTables(t, utabBefore+utabLine, mtabBefore+mtabLine)
}

// A lock of a process that was killed is taken over.
func TestLockStale(t *testing.T) {
	twoTables(t)
	holder := startChild(t, "hold")
	must(t, holder.cmd.Process.Kill())
	if err := holder.cmd.Wait(); err == nil {
		t.Error("the holder ended by itself")
	}
	if _, err := os.Lstat(mtabLockPath); err != nil {
		t.Fatalf("no stale lock: %v", err)
	}
	start := time.Now()
	must(t, Add(record))
	if took := time.Since(start); took >= lockWait {
		t.Errorf("it took %v", took)
	}
	wantTables(t, utabBefore+utabLine, mtabBefore+mtabLine)
	if _, err := os.Lstat(mtabLockPath); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the lock stays: %v", err)
	}
}

// A lock's name that is a link is not followed: nothing is created or written there.
func TestLockIsNoFile(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"symlink to a file": func(path string) error { return os.Symlink("/etc/passwd", path) },
		"dangling symlink":  func(path string) error { return os.Symlink("/etc/lock-made-by-the-test", path) },
		"directory":         func(path string) error { return os.Mkdir(path, 0o755) },
	} {
		t.Run(name, func(t *testing.T) {
			twoTables(t)
			must(t, make(mtabLockPath))
			must(t, make(utabLockPath))
			err := Add(record)
			for _, path := range []string{UtabPath, MtabPath} {
				if err == nil || !strings.Contains(err.Error(), path+" not updated: ") {
					t.Errorf("%v; want a word on %s", err, path)
				}
			}
			wantTables(t, utabBefore, mtabBefore)
			if _, err := os.Lstat("/etc/lock-made-by-the-test"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("followed: %v", err)
			}
			if _, err := os.Lstat(mtabLockPath); err != nil {
				t.Errorf("removed what is no lock of ours: %v", err)
			}
		})
	}
}

// The holder removes its lock file before it unlocks, so that a process that waited for
// the old file notices that it is no longer the lock.
func TestLockReplaced(t *testing.T) {
	twoTables(t)
	unlock, err := lockMtab()
	must(t, err)
	fd, err := unix.Open(mtabLockPath, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	if !stillAt(fd, mtabLockPath) {
		t.Error("not there")
	}
	must(t, unlock())
	if stillAt(fd, mtabLockPath) {
		t.Error("still there")
	}
	must(t, os.WriteFile(mtabLockPath, nil, 0o600))
	if stillAt(fd, mtabLockPath) {
		t.Error("taken for another file")
	}
	must(t, unix.Close(fd))
}
