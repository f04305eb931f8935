package signals

import (
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kernels are the kernel's own structs, in bytes: where the handler lies, and how
// many there are (linux/signal_types.h, asm/signal.h of mips).
var kernels = map[string]struct{ handler, size uintptr }{
	"386": {0, 20}, "amd64": {0, 32}, "arm": {0, 20}, "arm64": {0, 32}, "loong64": {0, 24}, "mips64le": {8, 32},
	"ppc64le": {0, 32}, "riscv64": {0, 24}, "s390x": {0, 32},
}

func TestSigaction(t *testing.T) {
	var ours sigaction
	want, known := kernels[runtime.GOARCH]
	if at, size := unsafe.Offsetof(ours.handler), unsafe.Sizeof(ours); known && (at != want.handler || size < want.size) {
		t.Errorf("the handler lies at %d of %d bytes; want %d, of %d at least", at, size, want.handler, want.size)
	}
}

// The struct has the kernel's size and layout.
func TestSigactionOfKernel(t *testing.T) {
	type guarded struct {
		sigaction
		guard [64]byte
	}
	action := func(set, old *guarded) {
		t.Helper()
		_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGWINCH),
			uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(old)), sigsetSize, 0, 0)
		if errno != 0 {
			t.Fatal(errno)
		}
	}
	var before, ignored, after guarded
	action(nil, &before)
	ignored.handler = ignore
	action(&ignored, nil)
	after.guard = [64]byte(slices.Repeat([]byte{0xa5}, 64))
	guard := after.guard
	action(&before, &after)
	if after.handler != ignore {
		t.Errorf("the handler became %d", after.handler)
	}
	if after.guard != guard {
		t.Error("the kernel's struct is longer than ours")
	}
}
