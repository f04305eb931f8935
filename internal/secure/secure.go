// Package secure tells whether the kernel gave this process, by an exec, more
// rights than its caller has. What the caller set up, the environment above all,
// must not decide then.
package secure

import "golang.org/x/sys/unix"

// atSecure is AT_SECURE of getauxval(3): the kernel sets it where an exec gave
// rights by ids or by capabilities.
const atSecure = 23

// Execution says whether the process is in secure-execution mode (ld.so(8)). It
// fails closed: what the kernel does not say is taken for yes.
func Execution() bool {
	vector, err := unix.Auxv()
	if err != nil {
		return true
	}
	for _, entry := range vector {
		if entry[0] == atSecure {
			return entry[1] != 0
		}
	}
	return true
}
