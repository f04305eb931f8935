//go:build mips || mipsle || mips64 || mips64le

package signals

// sigaction is the kernel's struct sigaction, which has its flags first here, and no
// restorer.
type sigaction struct {
	flags   uint32
	handler uintptr
	rest    [4]uint64
}

func newSigaction(handler, flags, _ uintptr) sigaction {
	return sigaction{handler: handler, flags: uint32(flags)}
}

const sigsetSize = 16
