//go:build !mips && !mipsle && !mips64 && !mips64le

package signals

// sigaction is the kernel's struct sigaction; of what follows the handler
// everything is zero, and its order differs between architectures.
type sigaction struct {
	handler uintptr
	rest    [4]uint64
}

const sigsetSize = 8
