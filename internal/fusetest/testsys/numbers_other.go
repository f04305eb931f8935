//go:build !amd64

package testsys

// oldSyscalls is empty: messages show a number for other calls.
var oldSyscalls map[string]uintptr
