package fusermount

import "context"

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
		return none, context.Cause(ctx)
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
		return none, context.Cause(ctx)
	}
}
