//go:build cgo && (amd64 || 386 || arm64)

package seccomp

import "golang.org/x/sys/unix"

// libraryCalls are made by the C library when it starts a thread. No package of the
// program uses C, but some distributions link all Go programs with the C toolchain
// (-linkmode=external), and such programs start their threads with pthread_create.
var libraryCalls = list{free: []uintptr{unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ, unix.SYS_SET_TID_ADDRESS}}
