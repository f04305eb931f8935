package fusetest

import (
	"errors"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest/testsys"
)

// AsUser runs fn on a thread of its own with real, effective and saved ids uid and gid,
// and with gid as the only group: a FUSE mount is closed to all but its owner, also to
// root. Goroutines that fn starts do not have these ids, programs do.
//
// It uses neither a user database nor changes other threads. The thread ends with the
// call. Inside a user namespace only its own ids are possible.
func AsUser(uid, gid uint32, fn func() error) error {
	t, err := NewThread(uid, gid, false)
	if err != nil {
		return err
	}
	defer t.Close()
	return t.Do(fn)
}

// Thread is a thread with the ids of a user, on which a test runs functions one after the
// other.
type Thread struct {
	work    chan func() error
	results chan error
	stop    sync.Once
}

// NewThread starts a thread with these ids and no other group. With elsewhere it has a
// mount namespace of its own, a copy of the present one. A later mount is no mountpoint
// there, so its directory can be renamed. Any user can have that (unshare -Urm).
func NewThread(uid, gid uint32, elsewhere bool) (*Thread, error) {
	t := &Thread{work: make(chan func() error), results: make(chan error)}
	go t.run(func() error {
		if elsewhere {
			if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
				return os.NewSyscallError("unshare", err)
			}
		}
		return testsys.SetThreadIDs(int(uid), int(gid), []int{int(gid)}, Have() != Root)
	})
	if err := <-t.results; err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

func (t *Thread) run(begin func() error) {
	runtime.LockOSThread() // never unlocked: the thread must not run anything else
	defer close(t.results)
	t.results <- begin()
	for f := range t.work {
		t.results <- f()
	}
}

// Do runs f on the thread.
func (t *Thread) Do(f func() error) error {
	t.work <- f
	err, ok := <-t.results
	if !ok {
		return errors.New("the function did not return, and its thread has ended") // as of t.Fatal
	}
	return err
}

// Close ends the thread, and its namespace with it.
func (t *Thread) Close() {
	t.stop.Do(func() {
		close(t.work)
		for range t.results { // until it has ended
		}
	})
}
