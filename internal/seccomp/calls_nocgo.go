//go:build !cgo && (amd64 || 386 || arm64)

package seccomp

// libraryCalls are those of a C library: there is none.
var libraryCalls list
