// Package fusermount mounts and unmounts FUSE file systems on Linux, for FUSE libraries
// and programs. [Mount] returns the device on which a file system is served, and
// [Mounted.Unmount] takes that mount away; [Mounted.Close] gives everything back.
//
//	m, err := fusermount.Mount(ctx, "/home/u/mnt", &fusermount.Options{
//		FSName:  "host:/dir",
//		Subtype: "demo",
//	})
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
//   - Serve the device at once. Until INIT is answered, any access to the mountpoint
//     blocks, also one of this process.
//   - Keep descriptors 0 to 3 open while Mount or Unmount may run a helper, and never let
//     one of them be a file of a mount that this process serves: a child gets its own
//     files under these numbers, and to close yours there could wait for you.
//   - Wait for your loop to end before Close, which closes the device under it.
//
// # Stability
//
// Before v1.0.0 any part of this package may change, and the changelog says how. From
// v1.0.0 on it follows semantic versioning: what compiles and is documented stays so
// within a major version.
//
// # How it mounts
//
// A process with CAP_SYS_ADMIN mounts by itself, with the new mount API and where that is
// not available with mount(2). So does root of a user namespace. Every other process runs
// the set-uid helper fusermount3, this module's or libfuse's, which checks that the user
// may mount there and hands over the device. The helper's messages about a refusal are in
// the error. [FindHelper] tells which program it is, and [Method] forces one way. Mounts
// of either kind are nosuid and nodev, and are unmounted in the same two ways.
//
// # For authors of FUSE libraries
//
// Replace the library's helper search, socketpair and mount(2) with one call of [Mount],
// and its exec of "fusermount3 -u" with [Mounted.Unmount] or [Unmount]:
//
//   - The device is in blocking mode and belongs to the [Mounted]; see [Mounted.File],
//     [Mounted.TakeFile] and, for libraries that take over a number, [Mounted.TakeFd].
//     Close unmounts in each case, unless [Mounted.Detach] was called.
//   - With [Options.SyncInit] the device comes before the mount, on kernels that can do
//     that, and an error of the daemon at its start is an error of Mount.
//   - A read of the device gives ENODEV when the mount has ended, however it ended.
//     [Mounted.Done] tells the same of the mount table.
//   - [Options] are typed. Commas and backslashes in names need no care.
//     [Options.AllowRoot] is the library's to enforce.
//
// Offer at least two entry points: a file or a descriptor to serve, so that users of the
// library can call this package themselves, and the mountpoint "/dev/fd/N" for a device
// that another process has opened and mounted, which [Adopt] takes over. The module's
// directory examples has the same file system on three libraries.
//
// # Waits and leaks
//
// Every call that a helper or a daemon may keep waiting takes a context, but for
// [Mounted.Close] and [List], which bound themselves. When the context ends, a call
// returns and takes back what it has begun: the helper is asked to end by the end of its
// socket and killed after a second, and its end is waited for two seconds more at most;
// what it has mounted is found by its connection and unmounted. So no process,
// descriptor, goroutine or mount is left behind. A system call that waits for another
// file system's hung daemon cannot be interrupted: a goroutine cleans up when it returns.
//
// A helper has done its work when its device has come, with SyncInit when it has reported
// the mount. Mount returns then and does not wait for the helper's end: its exit status
// means nothing for the mount. It is reaped as soon as it ends, is killed after a second,
// with what it has started, and is gone when [Mounted.Unmount] or [Mounted.Close]
// returns. A helper that sends no device is waited for, since its status and its messages
// say why.
//
// Everything that this package opens is close-on-exec from the start, so that no other
// child of the process inherits a device or a socket and keeps a mount alive or a helper
// waiting. The helper runs in a process group of its own, with this process's
// environment, where _FUSE_COMMFD is set and GOMAXPROCS is 1, and with /dev/null, a pipe
// for its messages, and its socket.
//
// [Options.AutoUnmount] is for a process that may be killed: a process of the helper
// stays, and takes the mount away when this one has gone.
//
// # Errors
//
// All errors of [Mount], of [Adopt], of both Unmount and both Abort, and of [List] are an [*Error],
// which has the helper's exit status and messages, and answers errors.Is for what went
// wrong: fs.ErrPermission, fs.ErrNotExist, unix.EBUSY and whatever else an errno says, the
// context's error and its cause, and the kinds of this package: [ErrHelperNotFound],
// [ErrNotMounted], [ErrAllowOther] and so on. The others are smaller: [FindHelper] returns
// a [*HelperNotFoundError], [Mounted.Wait] the context's error or fs.ErrClosed,
// [Mounted.TakeFile] and [Mounted.TakeFd] fs.ErrClosed or the kernel's, and
// [Mounted.Close] may join an [*Error] with that of closing the device.
//
// # Threads
//
// All calls may be made by any goroutine, at the same time. A helper is started on the
// thread of the goroutine that calls, so a goroutine that has locked its thread and
// changed that thread's ids mounts as that user. Nothing else may differ between threads,
// no mount namespace, root or current directory: what may have to wait while a context
// can end is done on another thread.
package fusermount
