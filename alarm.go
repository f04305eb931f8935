package fusermount

import (
	"context"
	"encoding/binary"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// alarm makes the end of a context something that poll(2) can wait for.
type alarm struct {
	ctx   context.Context // nil when it is closed
	fd    int             // an eventfd, readable at the end; -1 for a context that never ends
	stop  func() bool
	rings chan struct{} // closed when it was written to
}

func newAlarm(ctx context.Context) (*alarm, error) {
	a := &alarm{ctx: ctx, fd: -1}
	if ctx.Done() == nil {
		return a, nil
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	a.fd, a.rings = fd, make(chan struct{})
	a.stop = context.AfterFunc(ctx, func() {
		defer close(a.rings)
		_, _ = unix.Write(fd, binary.NativeEndian.AppendUint64(nil, 1)) // the first one cannot fail
	})
	return a, nil
}

// err is why the context has ended; nil before, and after close.
func (a *alarm) err() error {
	if a.ctx == nil {
		return nil
	}
	return whyEnded(a.ctx)
}

// whyEnded is why a context has ended, nil before. It answers for the cause and
// for the context's own error, whichever a caller asks for.
func whyEnded(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if err == nil || errors.Is(cause, err) {
		return cause
	}
	return because(cause.Error(), cause, err)
}

// close lets go of the context.
func (a *alarm) close() {
	a.ctx = nil
	if a.fd < 0 {
		return
	}
	if !a.stop() {
		<-a.rings
	}
	closeAll(a.fd)
	a.fd = -1
}
