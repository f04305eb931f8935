// Package fusermount mounts and unmounts FUSE file systems on Linux, for FUSE
// libraries and programs: it gets the device on which a file system is served,
// and gives back everything in the end.
//
//	m, err := fusermount.Mount(ctx, "/home/u/mnt", &fusermount.Options{
//		FSName:  "host:/dir",
//		Subtype: "demo",
//	})
//	if err != nil {
//		return err
//	}
//	defer m.Close()
//	go serve(m.File()) // speaks FUSE with the kernel
//	...
//	err = m.Unmount(ctx) // this very mount, and never another at its place
//
// # How it mounts
//
// A process with CAP_SYS_ADMIN mounts by itself, with the new mount API and
// where that is not to be had with mount(2). So does root of a user namespace. Every
// other process runs the setuid helper fusermount3, this module's or libfuse's,
// which checks that the user may mount there and hands over the device. What the
// helper says about a refusal is in the error. [FindHelper] tells which program
// it is. Mounts of either kind are nosuid and nodev, and are unmounted in the same
// two ways.
//
// # For authors of FUSE libraries
//
// In place of the library's own search for fusermount3, its socket pair and its
// mount(2) stand one call of [Mount], and for its exec of "fusermount3 -u" one of
// [Mounted.Unmount] or [Unmount]. Of what comes back a library needs to know:
//
//   - The device is in blocking mode and belongs to the [Mounted]; see
//     [Mounted.File] and, for libraries that take over a number,
//     [Mounted.TakeFd].
//   - Serve it at once. Until its daemon answers INIT, everybody waits who touches
//     the mountpoint, and so would this process. Nothing in this package touches
//     it.
//   - With [Options.SyncInit] the device comes before the mount, on kernels that can
//     do that, and an error of the daemon's start is an error of Mount.
//   - A read of the device gives ENODEV when the mount has ended, whoever ended
//     it. [Mounted.Done] tells the same of the mount table.
//   - [Options] are typed. Commas and backslashes in names need no care.
//     [Options.AllowRoot] is the library's to enforce.
//
// Whoever maintains such a library offers two doors at least: a file or a
// descriptor to serve, so that its users can call this package themselves, and the
// mountpoint "/dev/fd/N" for a device that was opened and mounted by somebody else,
// which is also what [Mount] takes over in this form. The module's directory
// examples has the same file system on three libraries.
//
// # Ends
//
// Every call that a helper or a daemon may keep waiting takes a context, but for
// [Mounted.Close] and [List], which bound themselves. When it ends, a call returns,
// and takes back what it has begun: the helper is asked to end by the end of its
// socket, and killed after a second, for whose end a call waits two more at most;
// what it has mounted is found by its connection and unmounted. So neither a
// process nor a descriptor, a goroutine or a mount is left behind. What no signal
// can end, a system call that waits for another file system's hung daemon, is left
// to a goroutine that cleans up when it returns.
//
// A helper has done its work when its device has come, with SyncInit when it has said
// that the mount is made. Mount returns then and does not wait for the helper's end:
// its exit status and what it still says mean nothing for the mount. It is reaped as
// soon as it ends, is killed after a second, with what it has started, and is gone when
// [Mounted.Unmount] or [Mounted.Close] returns. Only a helper that sends no device is
// waited for, since its status and its words say why.
//
// Everything that this package opens is close-on-exec from the start, so that no
// other child of the process inherits a device or a socket and keeps a mount alive
// or a helper waiting. The helper itself runs in a process group of its own, with
// this process's environment, where _FUSE_COMMFD is set and GOMAXPROCS is 1, and with
// /dev/null, a pipe for its messages, and its socket.
//
// [Options.AutoUnmount] is for a process that may be killed: a process of the
// helper stays, and takes the mount away when this one has gone.
//
// # Errors
//
// All of [Mount], of both Unmount and both Abort, and of [List] are an [*Error],
// which has the helper's exit status and messages, and answers errors.Is for what
// went wrong: fs.ErrPermission, fs.ErrNotExist, unix.EBUSY and whatever else an
// errno says, the context's error and its cause, and the kinds of this package:
// [ErrHelperNotFound], [ErrNotMounted], [ErrAllowOther] and so on. The others are
// smaller: [FindHelper] gives a [*HelperNotFoundError], [Mounted.Wait] the
// context's error or fs.ErrClosed, [Mounted.TakeFd] fs.ErrClosed or the kernel's,
// and [Mounted.Close] may join an [*Error] with that of closing the device.
//
// # Threads
//
// All may be called by any goroutine, at the same time. A helper is started on the
// thread of the goroutine that calls, so a goroutine that has locked its thread
// and changed that one's ids mounts as that user. Nothing else may be a
// thread's own, no mount namespace, root or current directory: what may have to
// wait while a context can end is done on another thread.
package fusermount
