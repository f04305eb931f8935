package fusermount

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

// table tells when mounts leave the mount table. One goroutine waits for
// changes of the table as long as anybody is interested, and none else.
var table tableWatch

type tableWatch struct {
	mu      sync.Mutex
	mounts  map[*Mounted]bool
	running bool
	wake    int // an eventfd that ends the wait; valid while running
}

// add begins to watch a mount.
func (w *tableWatch) add(m *Mounted) {
	w.mu.Lock()
	if w.mounts == nil {
		w.mounts = map[*Mounted]bool{}
	}
	w.mounts[m] = true
	if !w.running {
		w.start()
	}
	w.mu.Unlock()
	// It may have gone before the goroutine looked for the first time.
	w.tell([]*Mounted{m})
}

// remove ends it.
func (w *tableWatch) remove(m *Mounted) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.mounts[m] {
		return
	}
	delete(w.mounts, m)
	if len(w.mounts) == 0 && w.running && w.wake >= 0 {
		_, _ = unix.Write(w.wake, binary.NativeEndian.AppendUint64(nil, 1)) // fails only where it is awake anyway
	}
}

// start starts the goroutine.
func (w *tableWatch) start() {
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
func (w *tableWatch) run(info, wake int) {
	timeout := -1
	if info < 0 || wake < 0 { // no /proc, or no descriptor left: look every second
		timeout = 1000
	}
	for !w.finished() {
		w.tell(w.all())
		// The table can be read at any time; POLLPRI says that it has changed
		// since the last poll. Negative descriptors are left out.
		fds := []unix.PollFd{{Fd: int32(info), Events: unix.POLLPRI}, {Fd: int32(wake), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, timeout); err != nil && !errors.Is(err, unix.EINTR) {
			time.Sleep(time.Second) // out of memory
		}
		if fds[1].Revents != 0 {
			_, _ = unix.Read(wake, make([]byte, 8)) // makes it silent again
		}
	}
	for _, fd := range []int{info, wake} {
		if fd >= 0 {
			_ = unix.Close(fd) // nothing can fail
		}
	}
}

// finished says that nobody waits any more; from then on wake is not used.
func (w *tableWatch) finished() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running = len(w.mounts) > 0
	return !w.running
}

func (w *tableWatch) all() []*Mounted {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.mounts))
}

// tell looks which mounts have gone, and says so.
func (w *tableWatch) tell(mounts []*Mounted) {
	entries := make([]mtab.Entry, len(mounts))
	for i, m := range mounts {
		entries[i] = m.entry
	}
	for i, present := range mtab.Present(entries) {
		if !present {
			w.remove(mounts[i])
			mounts[i].setGone()
		}
	}
}
