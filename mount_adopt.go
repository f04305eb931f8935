//go:build linux

package fusermount

import (
	"context"
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/cancelable"
	"github.com/go-fusermount/fusermount/internal/connection"
	"github.com/go-fusermount/fusermount/internal/fusedev"
	"github.com/go-fusermount/fusermount/internal/fuseerr"
)

// Adopt makes a Mounted of descriptor fd, a fuse device that another process has opened
// and mounted and that this process has inherited or received. Libraries that know a
// mountpoint "/dev/fd/N" for this call Adopt with N.
//
// The Mounted gets a descriptor of its own; fd is closed when Adopt has succeeded, and is
// the caller's after any error. Of the options only SyncInit and Logger count. Without
// SyncInit a device that is not mounted is an ErrNotMounted; a mount that comes after
// SyncInit is not known to the Mounted. Close leaves an adopted mount alone. The error is
// an [*Error].
func Adopt(ctx context.Context, fd int, opts *Options) (*Mounted, error) {
	at := snapshot{path: "/dev/fd/" + strconv.Itoa(fd)}
	s, err := opts.spec()
	if err != nil {
		return nil, newError("mount", at.path, err)
	}
	m, err := adoptWay{fd}.mount(ctx, s, at)
	return s.result(at.path, at, m, err)
}

// adoptWay takes over a device.
type adoptWay struct{ device int }

// mount works on a copy, so that the descriptor stays the caller's after any error: the
// caller cannot know after which errors it would have to be closed.
func (w adoptWay) mount(ctx context.Context, s *spec, _ snapshot) (m *made, err error) {
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
	defer func() {
		if m == nil { // the copy shares the flags with the caller's
			err = errors.Join(err, s.closeDevice(file), unix.SetNonblock(w.device, flags&unix.O_NONBLOCK != 0))
		}
	}()
	if err := s.serve(file); err != nil {
		return nil, err
	}
	m = &made{file: file, adopted: true}
	if e, found := byConnection(device); found { // only now: SyncInit may have mounted it
		m.entry = e
	}
	_ = unix.Close(w.device) // the file is still open
	return m, nil
}

// check wants fd to be the fuse device, and mounted; with SyncInit the mount may still
// come.
func (w adoptWay) check(ctx context.Context, s *spec) error {
	if _, err := unix.FcntlInt(uintptr(w.device), unix.F_GETFD, 0); err != nil {
		return wrap("the descriptor is not open", err)
	}
	if !fusedev.Is(w.device) {
		return wrap("the descriptor is not the fuse device", ErrNoDevice, unix.EINVAL)
	}
	if s.SyncInit != nil {
		return fuseerr.Context(ctx)
	}
	mounted, err := cancelable.Run(ctx, func() (bool, error) { return connection.IsMounted(w.device), nil }, nil)
	if err == nil && !mounted {
		err = wrap("the device is not mounted", ErrNotMounted)
	}
	return err
}
