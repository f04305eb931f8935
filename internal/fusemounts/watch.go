//go:build linux

package fusemounts

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mtab"
)

// Watcher watches mounts. One goroutine waits for changes of the mount table (poll(2)
// of /proc/self/mountinfo) while there is a mount to watch, and none otherwise. The zero
// value is ready for use.
type Watcher struct {
	mu      sync.Mutex
	mounts  map[*watched]bool
	running bool
	wake    int // an eventfd that ends the wait; valid while running
}

type watched struct {
	entry mtab.Entry
	gone  func()
}

// Add calls gone once the mount has left the table, perhaps before Add returns. After
// stop it does not begin to call it. More calls of stop do nothing.
func (w *Watcher) Add(entry mtab.Entry, gone func()) (stop func()) {
	one := &watched{entry, gone}
	w.mu.Lock()
	if w.mounts == nil {
		w.mounts = map[*watched]bool{}
	}
	w.mounts[one] = true
	if !w.running {
		w.start()
	}
	w.mu.Unlock()
	// The mount may have gone before the goroutine looks for the first time.
	w.notify([]*watched{one})
	return func() { w.remove(one) }
}

// remove reports whether the mount was watched.
func (w *Watcher) remove(one *watched) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.mounts[one] {
		return false
	}
	delete(w.mounts, one)
	if len(w.mounts) == 0 && w.running && w.wake >= 0 {
		_, _ = unix.Write(w.wake, binary.NativeEndian.AppendUint64(nil, 1)) // fails only where it is awake anyway
	}
	return true
}

// start starts the goroutine.
func (w *Watcher) start() {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		wake = -1
	}
	info, err := unix.Open("/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		info = -1
	}
	w.wake, w.running = wake, true
	go w.run(info, wake)
}

// run waits for changes until no mount is left.
func (w *Watcher) run(info, wake int) {
	timeout := -1
	if info < 0 || wake < 0 { // no /proc, or no descriptor left: look every second
		timeout = 1000
	}
	for !w.finished() {
		w.notify(w.all())
		// POLLPRI says that the table has changed since the last poll. Negative
		// descriptors are ignored.
		fds := []unix.PollFd{{Fd: int32(info), Events: unix.POLLPRI}, {Fd: int32(wake), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, timeout); err != nil && !errors.Is(err, unix.EINTR) {
			time.Sleep(time.Second) // out of memory
		}
		if fds[1].Revents != 0 {
			_, _ = unix.Read(wake, make([]byte, 8)) // resets it
		}
	}
	for _, fd := range []int{info, wake} {
		if fd >= 0 {
			_ = unix.Close(fd) // nothing can fail
		}
	}
}

// finished reports whether no mount is left; from then on wake is not used.
func (w *Watcher) finished() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running = len(w.mounts) > 0
	return !w.running
}

func (w *Watcher) all() []*watched {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.mounts))
}

// notify finds the mounts that have gone, and calls their functions.
func (w *Watcher) notify(mounts []*watched) {
	entries := make([]mtab.Entry, len(mounts))
	for i, one := range mounts {
		entries[i] = one.entry
	}
	for i, present := range present(entries) {
		if !present && w.remove(mounts[i]) {
			mounts[i].gone()
		}
	}
}

// present reports for each entry whether its mount is still in the table. A mount
// counts as present if its state cannot be found out. The text of the table is read at
// most once.
func present(entries []mtab.Entry) []bool {
	present := make([]bool, len(entries))
	var table []mtab.Entry
	var err error
	read := false
	for i, e := range entries {
		if e.Unique {
			_, gone := mtab.Reload(e)
			present[i] = !errors.Is(gone, mtab.ErrNotListed)
			continue
		}
		if !read {
			table, err = mtab.Fuse()
			read = true
		}
		present[i] = err != nil || slices.ContainsFunc(table, func(now mtab.Entry) bool { return mtab.Same(now, e) })
	}
	return present
}
