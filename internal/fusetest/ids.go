package fusetest

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
