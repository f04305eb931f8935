package priv

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// sigsetWord is the size in bytes of one word of a signal set.
const sigsetWord = unsafe.Sizeof(unix.Sigset_t{}.Val[0])
