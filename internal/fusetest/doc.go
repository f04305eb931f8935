// Package fusetest is what the tests of this module need around the helper,
// and nothing that ships uses it:
//
//   - [Server], a tiny FUSE server on a device descriptor, in a process of its
//     own, that can be healthy, hung or dead and remembers what it was asked;
//   - [Call], a caller of the helper as the known FUSE libraries are, with any
//     ids, limits, descriptors and failing system calls, which can be stopped,
//     failed or killed at each system call that it makes;
//   - [RunTests] and [Stage], a mount namespace in which a test may mount,
//     write /etc and install setuid programs, while the machine outside stays
//     as it was;
//   - [Mountinfo], a second reader of the mount table, so that no test checks
//     the project's parser with itself.
//
// TestMain of a package that uses it is one line:
//
//	func TestMain(m *testing.M) { os.Exit(fusetest.RunTests(m)) }
//
// The FUSE wire format follows the kernel's include/uapi/linux/fuse.h.
package fusetest
