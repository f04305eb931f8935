package fuzzcmd

// entropy is where choices come from: bytes, and zeros when they are used up.
// Zero is always the plain choice.
type entropy struct{ rest []byte }

func (e *entropy) next() int {
	if len(e.rest) == 0 {
		return 0
	}
	b := e.rest[0]
	e.rest = e.rest[1:]
	return int(b)
}

func (e *entropy) empty() bool { return len(e.rest) == 0 }

// below gives a number from 0 to n-1; n is at most 256.
func (e *entropy) below(n int) int { return e.next() % n }

// odd is true once in oneIn times.
func (e *entropy) odd(oneIn int) bool { return e.next() > 255-256/oneIn }

// text gives up to n bytes as they come, without zeros.
func (e *entropy) text(n int) string {
	n = min(e.below(n+1), len(e.rest))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(max(e.next(), 1))
	}
	return string(b)
}

// one gives one of the list, the first by default.
func one[T any](e *entropy, list ...T) T { return list[e.below(len(list))] }
