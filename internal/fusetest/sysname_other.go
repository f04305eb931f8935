//go:build !amd64

package fusetest

// oldSyscalls are of other architectures: in messages there a number stands
// for them.
var oldSyscalls map[string]uintptr
