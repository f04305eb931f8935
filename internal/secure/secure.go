// Package secure tells whether the kernel gave this process, by an exec, more privileges than its
// caller has. What the caller set up, the environment above all, must not decide then.
package secure

import "golang.org/x/sys/unix"

const atSecure = 23 // AT_SECURE of getauxval(3)

// Execution says whether the process is in secure-execution mode (ld.so(8)). If the kernel
// does not tell, the answer is yes.
func Execution() bool {
	vector, err := unix.Auxv()
	for i := 0; err == nil && i < len(vector); i++ {
		if vector[i][0] == atSecure {
			return vector[i][1] != 0
		}
	}
	return true
}
