//go:build cgo && (amd64 || 386 || arm64)

package confine

import "golang.org/x/sys/unix"

// libraryCalls are made by the C library for a thread of its own. The program
// needs no C; but whoever builds it without CGO_ENABLED=0 gets package net, which
// the flag parser imports, with the C library's resolver.
var libraryCalls = list{free: []uintptr{unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ, unix.SYS_SET_TID_ADDRESS}}
