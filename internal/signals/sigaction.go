//go:build !mips && !mipsle && !mips64 && !mips64le

package signals

// sigaction is the kernel's struct sigaction. Where it has no restorer the mask comes
// next, so restorer is set only where the kernel needs it.
type sigaction struct {
	handler  uintptr
	flags    uintptr
	restorer uintptr
	rest     [4]uint64
}

func newSigaction(handler, flags, restorer uintptr) sigaction {
	return sigaction{handler: handler, flags: flags, restorer: restorer}
}

const sigsetSize = 8
