//go:build linux

// Package cancelable makes calls that no signal and no context can interrupt, such as a
// lookup that waits for the daemon of a FUSE file system, and returns when the context
// ends.
package cancelable

import (
	"context"
	"errors"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fuseerr"
)

// Run calls f, and returns when f has returned or the context has ended. In the second
// case late, if it is not nil, is called in another goroutine with what f returns in the
// end, or at once, with the context's error, if f was not called.
//
// f runs on another thread than its caller: it must not depend on the ids of a thread.
func Run[T any](ctx context.Context, f func() (T, error), late func(T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	if err := fuseerr.Context(ctx); err != nil {
		if late != nil {
			late(none, err)
		}
		return none, err
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
			// The caller has returned, or takes the result in this moment.
			select {
			case results <- result{value, err}:
			default:
				if late != nil {
					late(value, err)
				}
			}
		}
	}()
	select {
	case r := <-results:
		return r.value, r.err
	case <-ctx.Done():
		return none, fuseerr.Context(ctx)
	}
}

// Lookup is Run for a call that waits for nothing once path is looked up. It makes the
// call in this goroutine if the kernel has cached the path: to start a goroutine costs
// more than the rest of a mount on a busy machine.
func Lookup[T any](ctx context.Context, path string, f func() (T, error)) (T, error) {
	if ctx.Err() == nil && LookupCached(path) {
		return f()
	}
	return Run(ctx, f, nil)
}

// resolveCached is RESOLVE_CACHED (linux/openat2.h, 5.12).
const resolveCached = 0x20

// LookupCached reports whether the kernel can look up a path in its cache, without
// asking any file system on the way, whose daemon may hang. The cache also knows that
// something does not exist.
func LookupCached(path string) bool {
	// The descriptor keeps a mount busy, so no child may inherit it.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: resolveCached,
	})
	if err != nil { // fd may be 0: of a path with a NUL
		return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR)
	}
	_ = unix.Close(fd) // O_PATH: nothing can fail
	return true
}
