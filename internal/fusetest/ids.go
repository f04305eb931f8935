package fusetest

import (
	"errors"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest/testsys"
)

// AsUser runs fn on a thread of its own whose real, effective and saved ids
// are uid and gid and whose only group is gid, because the kernel lets nobody
// but its owner, not even root, look into a FUSE mount. Goroutines that fn
// starts are not of that user; programs that it starts are.
//
// Calls by number and for one thread: neither a user database nor the other
// threads are touched. The thread dies with the call. Inside a user namespace
// only its own ids can be had.
func AsUser(uid, gid uint32, fn func() error) error {
	t, err := NewThread(uid, gid, false)
	if err != nil {
		return err
	}
	defer t.Close()
	return t.Do(fn)
}

// Thread is a thread of one user's, on which a test does one thing after the
// other as he would.
type Thread struct {
	work    chan func() error
	results chan error
	stop    sync.Once
}

// NewThread starts a thread whose ids and only group are these. With elsewhere
// it has a mount namespace of its own, a copy of what is mounted at this
// moment: what is mounted later is no mountpoint there, so its directory can be
// renamed. Anybody can have that (unshare -Urm).
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
	runtime.LockOSThread() // for good: the thread must never run anything else
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
		for range t.results { // until it is gone
		}
	})
}
