// Package fusermount mounts and unmounts FUSE file systems on Linux, for FUSE libraries
// and programs. [Mount] returns the device on which a file system is served,
// [Mounted.Unmount] takes that mount away, and [Mounted.Close] gives everything back.
//
//	m, err := fusermount.Mount(ctx, "/home/u/mnt", &fusermount.Options{FSName: "host:/dir", Subtype: "demo"})
//	if err != nil {
//		return err
//	}
//	defer m.Close()
//	served := make(chan error, 1)
//	go func() { served <- serve(m.File()) }() // speaks FUSE with the kernel
//	...
//	err = m.Unmount(ctx, nil) // this very mount, and never another at its place
//	<-served                  // before Close
//
// What to do first:
//
//   - Serve the device at once. Until FUSE_INIT is answered, any access to the mountpoint
//     blocks, also one of this process.
//   - Keep descriptors 0 to 3 open while Mount or Unmount may run a helper. None of them
//     may be a file of a mount that this process serves.
//   - Wait for the loop that reads the device before Close, which closes it.
//
// A process with CAP_SYS_ADMIN mounts by itself. Every other process asks the mount service
// (fusermountd) where it is there, and else runs the set-uid helper fusermount3, this
// module's or libfuse's. [Method] forces one way. Mounts of all kinds are nosuid and nodev,
// and are unmounted in the same ways.
//
// Calls that a helper or a daemon may keep waiting take a context; [Mounted.Close] bounds
// itself. When the context ends, a call takes back what it has begun and returns: a helper
// that hangs has a second to end, is killed, and is waited for two seconds more. No
// process, descriptor, goroutine or mount is left behind. A system call that waits for
// another file system's daemon cannot be interrupted: a goroutine cleans up when it returns.
// Everything that this package opens is close-on-exec.
//
// All calls may be made by any goroutine, at the same time. A helper is started on the
// thread of the goroutine that calls, with the ids of that thread. Threads may not differ
// in their mount namespace, root or current directory.
//
// Before v1.0.0 any part of this package may change, and the changelog says how. For moving
// a library to it see docs/adopting.md.
package fusermount
