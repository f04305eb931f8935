//go:build linux

package fusermount

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/cancelable"
	"github.com/go-fusermount/fusermount/internal/fusedev"
	"github.com/go-fusermount/fusermount/internal/fuseerr"
)

// adoptedPrefix begins a mountpoint that stands for a descriptor, as libfuse,
// hanwen/go-fuse and jacobsa/fuse know it.
const adoptedPrefix = "/dev/fd/"

// parseAdopted returns the descriptor that a mountpoint stands for.
func parseAdopted(mountpoint string) (device int, ok bool, err error) {
	number, ok := strings.CutPrefix(mountpoint, adoptedPrefix)
	if !ok {
		return -1, false, nil
	}
	n, err := strconv.ParseUint(number, 10, 31)
	if err != nil {
		return -1, false, wrap("after "+adoptedPrefix+" a mountpoint has the number of a descriptor", unix.EINVAL)
	}
	if _, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0); err != nil {
		return -1, false, wrap("descriptor "+number+" is not open", err)
	}
	if !fusedev.Is(int(n)) {
		return -1, false, wrap("descriptor "+number+" is not the fuse device", ErrNoDevice, unix.EINVAL)
	}
	return int(n), true, nil
}

// adoptWay takes over a device that another process has mounted.
type adoptWay struct{ device int }

// mount works on a copy, so that the descriptor stays the caller's after any error: the
// caller cannot know after which errors it would have to be closed.
func (w adoptWay) mount(ctx context.Context, s *spec, _ snapshot) (*made, error) {
	if err := w.check(ctx, s); err != nil {
		return nil, err
	}
	flags, err := unix.FcntlInt(uintptr(w.device), unix.F_GETFL, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	device, err := unix.FcntlInt(uintptr(w.device), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	file := newDevice(device)
	err = s.serve(file, func() error {
		// The copy shares the flags with the caller's.
		return errors.Join(unix.SetNonblock(w.device, flags&unix.O_NONBLOCK != 0), file.Close())
	})
	if err != nil {
		return nil, err
	}
	m := &made{file: file, adopted: true}
	if e, found := byConnection(device); found { // only now: SyncInit may have mounted it
		m.entry = e
	}
	_ = unix.Close(w.device) // the file is still open
	return m, nil
}

// check wants the device to be mounted. With SyncInit that may still come.
func (w adoptWay) check(ctx context.Context, s *spec) error {
	if s.SyncInit != nil {
		return fuseerr.Context(ctx)
	}
	mounted, err := cancelable.Run(ctx, func() (bool, error) { return fusedev.IsMounted(w.device), nil }, nil)
	if err == nil && !mounted {
		err = wrap("descriptor "+strconv.Itoa(w.device)+" is not mounted", ErrNotMounted)
	}
	return err
}
