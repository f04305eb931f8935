//go:build linux

package helperproc

import (
	"context"
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fuseerr"
)

// ctxfd makes the end of a context something that poll(2) can wait for.
type ctxfd struct {
	ctx     context.Context // nil after close
	fd      int             // an eventfd, readable at the end; -1 for a context that never ends
	stop    func() bool
	written chan struct{} // closed when the eventfd was written to
}

func newCtxfd(ctx context.Context) (*ctxfd, error) {
	c := &ctxfd{ctx: ctx, fd: -1}
	if ctx.Done() == nil {
		return c, nil
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	c.fd, c.written = fd, make(chan struct{})
	c.stop = context.AfterFunc(ctx, func() {
		defer close(c.written)
		_, _ = unix.Write(fd, binary.NativeEndian.AppendUint64(nil, 1)) // the first one cannot fail
	})
	return c, nil
}

// err is why the context has ended; nil before, and after close.
func (c *ctxfd) err() error {
	if c.ctx == nil {
		return nil
	}
	return fuseerr.Context(c.ctx)
}

// close ignores the context from here on.
func (c *ctxfd) close() {
	c.ctx = nil
	if c.fd < 0 {
		return
	}
	if !c.stop() {
		<-c.written
	}
	closeAll(c.fd)
	c.fd = -1
}
