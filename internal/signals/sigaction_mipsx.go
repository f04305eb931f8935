//go:build mips || mipsle || mips64 || mips64le

package signals

// sigaction is the kernel's struct sigaction, which has its flags first here.
type sigaction struct {
	flags   uint32
	handler uintptr
	rest    [4]uint64
}

const sigsetSize = 16
