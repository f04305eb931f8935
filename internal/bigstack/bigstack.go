// Package bigstack gives the first goroutine a large stack before it needs one: growing by
// doubling takes fresh pages, and walks the stack, at each step. It imports nothing, so
// that it is among the first packages to be initialized.
package bigstack

// frame is more than half of 32 kB, the smallest stack that the runtime does not take from
// a pool of equal stacks, all of which it writes to.
const frame = 24 << 10

var never bool

func init() { grow() }

// grow needs its frame as soon as it is called.
//
//go:noinline
func grow() {
	if never {
		var space [frame]byte
		use(&space)
	}
}

//go:noinline
func use(space *[frame]byte) { space[0]++ }
