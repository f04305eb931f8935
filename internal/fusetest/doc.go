// Package fusetest is the entry point of the tests that need a mount namespace, users or
// the fuse device. Nothing that ships uses it.
//
//   - [RunTests] and [Stage] give a mount namespace in which a test may mount, write
//     /etc and install setuid programs, while the machine outside stays as it was.
//   - [AsUser] and [NewThread] run code as any user.
//   - [Mountinfo] is a second reader of the mount table, so that no test checks the
//     project's parser with itself.
//
// Beside it, fuseserver is a FUSE server, and helpertest calls the helper.
//
// TestMain of a package that uses it is one line:
//
//	func TestMain(m *testing.M) { os.Exit(fusetest.RunTests(m)) }
package fusetest
