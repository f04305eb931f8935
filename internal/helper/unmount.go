package helper

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fdpass"
	"github.com/go-fusermount/fusermount/internal/holders"
	"github.com/go-fusermount/fusermount/internal/mount"
	"github.com/go-fusermount/fusermount/internal/mountopts"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/pathfd"
	"github.com/go-fusermount/fusermount/internal/policy"
	"github.com/go-fusermount/fusermount/internal/priv"
	"github.com/go-fusermount/fusermount/internal/rawfile"
	"github.com/go-fusermount/fusermount/internal/seccomp"
	"github.com/go-fusermount/fusermount/internal/signals"
)

// runUnmount unmounts what is mounted topmost at the mountpoint, if it is the caller's.
func runUnmount(r *run) error {
	r.report.muted = r.req.Quiet
	if err := r.restrictTo(seccomp.Unmount | r.tablesTask(mtab.MtabPath, mtab.UtabPath)); err != nil {
		return err
	}
	target, err := pinTarget(r)
	if err != nil {
		return err
	}
	if err := unmountTarget(r, target, r.req.Lazy); err != nil {
		return err
	}
	r.logDone("unmounted")
	return nil
}

// pinTarget pins what is mounted topmost at the mountpoint. A mountpoint that does not exist
// gets the message of one where nothing is mounted.
func pinTarget(r *run) (*mount.Target, error) {
	place, err := resolve(r)
	if err != nil {
		return nil, err
	}
	target, err := place.Target()
	if err != nil {
		hint := "nothing is there (" + mount.Strerror(err) + "): is the name right?"
		switch {
		case errors.Is(err, mtab.ErrNotListed):
			hint = "what is mounted there lies in another mount namespace or outside of this root directory, or was unmounted meanwhile"
		case !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR):
			return nil, err
		}
		return nil, &policy.Refusal{Reason: "entry for " + place.Path + " not found in /etc/mtab", Advice: hint}
	}
	if target.IsRoot {
		r.about = about(target.Names())
	}
	return target, nil
}

// judgeUnmount decides about a pinned mount from the kernel's table.
func judgeUnmount(r *run, target *mount.Target, lazy bool) (policy.UnmountPlan, error) {
	entry := target.Entry
	caller := r.caller()
	if r.guest != nil {
		caller.UID = r.guest.Owner
	}
	facts := policy.UnmountFacts{
		Caller:     caller,
		Path:       target.Path(),
		Lazy:       lazy,
		Mountpoint: target.IsRoot,
		Near:       target.Near(caller),
		Top:        judged(entry),
	}
	below, err := target.Underlying()
	if err != nil {
		return policy.UnmountPlan{}, err
	}
	for _, e := range below {
		facts.Below = append(facts.Below, judged(e))
	}
	if facts.AsksInside() && mountopts.IsFuse(entry.Type) {
		inside, err := mtab.Descendants(entry)
		if err != nil {
			return policy.UnmountPlan{}, err
		}
		for _, e := range inside {
			facts.Inside = append(facts.Inside, judged(e))
		}
	}
	return policy.Unmount(facts)
}

func judged(e mtab.Entry) policy.Mounted {
	owner, has := e.Owner()
	return policy.Mounted{ID: e.ID, Type: e.Type, Mountpoint: e.Mountpoint, Owner: owner, HasOwner: has}
}

// unmountTarget judges a pinned mount, unmounts it, and removes it from the tables.
func unmountTarget(r *run, target *mount.Target, lazy bool) error {
	plan, err := judgeUnmount(r, target, lazy)
	if err != nil {
		return err
	}
	if _, detaches, _ := plan.Terms(); detaches && !lazy {
		// The kernel would detach it from those who use it, too.
		using, err := holders.Of(target.Entry)
		if err == nil && len(using) > 0 || len(holders.Loops(target.Entry)) > 0 {
			return &mount.UnmountError{Path: target.Path(), Mount: target.Entry, Errno: unix.EBUSY}
		}
		// Meanwhile something may have been mounted inside.
		if plan, err = judgeUnmount(r, target, lazy); err != nil {
			return err
		}
	}
	rec, recorded := findRecord(r, target)
	if err := target.Unmount(plan); err != nil {
		return err
	}
	if recorded {
		if err := mount.ForgetMount(rec); err != nil {
			r.report.warn("warning: " + notWritten(r, err, mtab.InUtab(rec)))
		}
	}
	return nil
}

// findRecord finds the mount in the tables, while the kernel still knows its ids. Trouble
// with a table does not keep a mount from being unmounted.
func findRecord(r *run, target *mount.Target) (rec mtab.Record, found bool) {
	if !r.mayWriteTables() {
		return mtab.Record{}, false
	}
	rec, err := target.Record()
	if err != nil {
		r.report.warn("warning: the mount stays in the tables: " + err.Error())
		return mtab.Record{}, false
	}
	return rec, mtab.MayExist(mtab.MtabPath) || mtab.InUtab(rec)
}

// notWritten says why tables were not written. The error alone does not tell which
// capability was missing. utab says whether libmount's table was to be written.
func notWritten(r *run, err error, utab bool) string {
	if !errors.Is(err, priv.ErrMissing) {
		return err.Error()
	}
	var tables []string
	if utab {
		tables = append(tables, mtab.UtabPath)
	}
	if mtab.MayExist(mtab.MtabPath) {
		tables = append(tables, mtab.MtabPath)
	}
	why := "the program has the file capability alone, and not the setuid bit"
	if r.who.Origin.EUID == 0 {
		why = "CAP_SETUID and CAP_SETGID are not there"
	}
	return strings.Join(tables, " and ") + " not written: " + why
}

// runWatch is --auto-unmount: another program has mounted, and the topmost mount at
// the mountpoint is watched if it is the caller's FUSE file system.
func runWatch(r *run) error {
	socket, err := commSocket(r)
	if err != nil {
		return err
	}
	tasks := seccomp.Unmount | seccomp.Leave | seccomp.Watch | r.tablesTask(mtab.MtabPath, mtab.UtabPath)
	if err := r.restrictTo(tasks); err != nil {
		return err
	}
	target, err := pinTarget(r)
	if err != nil {
		return err
	}
	if _, err := judgeUnmount(r, target, true); err != nil {
		return err
	}
	entry := target.Entry
	_, recorded := findRecord(r, target)
	// The descriptor keeps the mount busy. The caller takes the end of our streams, which
	// daemonize closes, for the beginning of the watch.
	if err := target.Close(); err != nil {
		return err
	}
	if err := daemonize(r, socket, recorded); err != nil {
		return err
	}
	r.over = true
	return watch(r, socket, entry)
}

// daemonize leaves a process that holds nothing but the socket, and can only wait for its
// end and unmount; and write the table, if the mount is recorded in one. It does not
// fork: the caller may be waiting for this process, and the main thread has the
// credentials. Messages are not written any more.
func daemonize(r *run, socket int, recorded bool) error {
	if r.guest != nil {
		if err := r.guest.Watch(); err != nil {
			return err
		}
	}
	tasks := seccomp.Unmount | seccomp.Watch
	if recorded {
		tasks |= seccomp.Tables
	}
	r.tasks = tasks
	// A root caller keeps what it takes to reach a mountpoint in another user's directory.
	if err := priv.Shed(capabilities(tasks) | priv.DACReadSearch); err != nil {
		return err
	}
	// Before signals.Ignore, which includes the signal that it sends to threads.
	if err := priv.RestrictOthers(recorded); err != nil {
		return err
	}
	if err := newSession(); err != nil {
		return fmt.Errorf("setsid: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return fmt.Errorf("chdir: %w", err)
	}
	keep := isPoller
	if r.guest != nil {
		keep = func(fd int) bool { return isPoller(fd) || r.guest.keeps(fd) }
	}
	if err := closeDescriptors(socket, keep); err != nil {
		return err
	}
	if err := signals.Ignore(); err != nil {
		return err
	}
	null, err := rawfile.Open("/dev/null", unix.O_RDWR, 0) // the filter forbids it afterwards
	if err != nil {
		return fmt.Errorf("/dev/null: %w", err)
	}
	err = seccomp.To(tasks, r.who.UID, r.who.GID)
	for fd := 0; fd < 3 && err == nil; fd++ { // standard error last: an error can be written until then
		if fd == socket {
			continue
		}
		if err = rawfile.RetryEINTR(func() error { return unix.Dup3(null, fd, 0) }); err != nil {
			err = fmt.Errorf("dup3: %w", err)
		}
	}
	if err != nil {
		return errors.Join(err, unix.Close(null))
	}
	_ = unix.Close(null) // nobody can be told any more, and the mount needs its watcher
	r.report.muted = true
	return nil
}

// newSession creates a session. The leader of a process group cannot, so it joins its
// parent's group first; if that is in another session, it stays in its own.
func newSession() error {
	_, err := unix.Setsid()
	if !errors.Is(err, unix.EPERM) {
		return err
	}
	group, err := unix.Getpgid(unix.Getppid())
	if err == nil {
		err = unix.Setpgid(0, group)
	}
	if err == nil {
		_, err = unix.Setsid()
	}
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// closeDescriptors closes all but the standard streams, the socket, and those to keep.
func closeDescriptors(socket int, keep func(fd int) bool) error {
	fds, err := rawfile.Numbers("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("list descriptors: %w", err)
	}
	for _, fd := range fds {
		if fd <= unix.Stderr || fd == socket || keep(fd) {
			continue
		}
		// That of the list itself is among them, and closed already.
		if err := unix.Close(fd); err != nil && !errors.Is(err, unix.EBADF) {
			return fmt.Errorf("close: %w", err)
		}
	}
	return nil
}

// isOwn says whether fd was opened by this process: what was inherited is never
// close-on-exec. What is closed counts as own.
func isOwn(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err != nil || flags&unix.FD_CLOEXEC != 0
}

// isPoller says whether fd is the Go runtime's, which dies if it is closed. Its poller
// exists if a caller passed a non-blocking stream.
func isPoller(fd int) bool {
	if !isOwn(fd) {
		return false
	}
	link, err := pathfd.Path(fd)
	return err == nil && (link == "anon_inode:[eventpoll]" || link == "anon_inode:[eventfd]")
}

// watch waits until the caller's end of the socket is closed, and unmounts the mount if its
// daemon died. It tries twice: the failure may be one of memory, and nobody else will do it.
func watch(r *run, socket int, watched mtab.Entry) error {
	if r.guest != nil {
		r.guest.watching = true
		r.guest.answer(r, nil)
	}
	fdpass.WaitClosed(socket)
	err := twice(func() error { return cleanUp(r, watched) })
	if err != nil {
		r.logRefusal("automatic unmount", err)
	}
	return err
}

// cleanUp unmounts the watched mount with all the checks of -u, if it is still there,
// topmost, and its daemon dead.
func cleanUp(r *run, watched mtab.Entry) error {
	again := mount.Again
	if r.guest != nil {
		again = r.guest.Place.Again
	}
	target, err := again(watched)
	switch {
	case errors.Is(err, mtab.ErrNotListed), errors.Is(err, mount.ErrCovered):
		return nil
	case err == nil && !target.Dead():
		return target.Close()
	case err == nil:
		err = unmountTarget(r, target, true)
	}
	if err == nil {
		r.path = target.Path()
		r.logDone("automatically unmounted")
		return nil
	}
	if _, gone := mtab.Reload(watched); errors.Is(gone, mtab.ErrNotListed) {
		return nil // somebody else was faster
	}
	return err
}
