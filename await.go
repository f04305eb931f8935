package fusermount

import (
	"context"
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// resolveCached is RESOLVE_CACHED (linux/openat2.h, 5.12).
const resolveCached = 0x20

// calm says whether the kernel can look a path up from what it remembers, without
// asking any file system on the way, one of which may be served by a daemon that
// hangs. What is looked up then needs no goroutine of its own to wait in; to start
// one costs more than the rest of a mount on a busy machine. That there is nothing
// may be remembered, too.
func calm(path string) bool {
	// The descriptor keeps a mount busy, and must not get into a child.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: resolveCached,
	})
	if err != nil { // fd may be 0: of a path with a NUL
		return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR)
	}
	closeAll(fd)
	return true
}

// lookUp is await for what waits for nothing if the path is calm.
func lookUp[T any](ctx context.Context, path string, f func() (T, error)) (T, error) {
	if ctx.Err() == nil && calm(path) {
		return f()
	}
	return await(ctx, f, func(T, error) {})
}

// await calls f, which no signal and no context can interrupt, and returns when
// it has ended or the context has. In the second case late is called with what f
// gives in the end, in another goroutine.
//
// f runs on another thread than its caller: it must not depend on the ids of a
// thread.
func await[T any](ctx context.Context, f func() (T, error), late func(T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	if ctx.Err() != nil {
		return none, whyEnded(ctx)
	}
	if ctx.Done() == nil {
		return f()
	}
	results := make(chan result)
	go func() {
		value, err := f()
		select {
		case results <- result{value, err}:
		case <-ctx.Done():
			// Whoever waited has gone, or takes it in this moment.
			select {
			case results <- result{value, err}:
			default:
				late(value, err)
			}
		}
	}()
	select {
	case r := <-results:
		return r.value, r.err
	case <-ctx.Done():
		return none, whyEnded(ctx)
	}
}
