package helper

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fdpass"
	"github.com/go-fusermount/fusermount/internal/fuseconf"
	"github.com/go-fusermount/fusermount/internal/mount"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/policy"
	"github.com/go-fusermount/fusermount/internal/priv"
	"github.com/go-fusermount/fusermount/internal/rawfile"
	"github.com/go-fusermount/fusermount/internal/seccomp"
)

// runMount examines everything as the caller, decides, mounts, and sends the device.
func runMount(r *run) error {
	if r.guest != nil {
		r.about = about(policy.NamesParsed(devicePath(), r.guest.Options))
	} else if fstype, source, ok := policy.Names(devicePath(), r.req.Options...); ok {
		r.about = about(fstype, source)
	}
	socket, err := commSocket(r)
	if err != nil {
		return err
	}
	if err := r.restrictTo(tasksOfMount(r)); err != nil {
		return err
	}
	place, err := resolve(r)
	if err != nil {
		return err
	}
	at, err := place.Pin(r.caller())
	if err != nil {
		return err
	}
	device, err := openDevice(r)
	if err != nil {
		return err
	}
	plan, err := judgeMount(r, at, device, r.report.warn)
	if err != nil {
		return err
	}
	if r.req.SyncInit {
		return mountSyncInit(r, plan, device, at, socket)
	}
	mounted, err := mount.Mount(plan, device, at, reauthorize(r, at, device))
	if err != nil {
		return takeBack(r, err, mounted)
	}
	return handOver(r, plan, mounted, socket, func() error { return sendDevice(socket, device) })
}

// resolve pins the place that the request names.
func resolve(r *run) (place *mount.Place, err error) {
	if r.guest != nil {
		place = r.guest.Place
	} else if place, err = mount.Resolve(r.req.Mountpoint); err != nil {
		return nil, err
	}
	r.path = place.Path
	return place, nil
}

func openDevice(r *run) (*mount.Device, error) {
	if r.guest != nil && r.guest.Device != nil {
		return r.guest.Device, nil
	}
	return mount.OpenDevice(devicePath())
}

// tasksOfMount are the tasks that the text of the request may lead to.
func tasksOfMount(r *run) seccomp.Task {
	tasks := seccomp.Mount
	if r.req.SyncInit {
		tasks |= seccomp.Answer
	} else {
		tasks |= seccomp.OldMount
	}
	if mentions(r, "auto_unmount") {
		tasks |= seccomp.Leave | seccomp.Watch
	}
	if mentions(r, "x-") {
		return tasks | r.tablesTask(mtab.MtabPath, mtab.UtabPath)
	}
	return tasks | r.tablesTask(mtab.MtabPath)
}

// mentions says whether an option may be among the requested ones. What is costly, or a
// privilege to keep, is not examined for others.
func mentions(r *run, option string) bool {
	if r.guest != nil {
		return option == "auto_unmount" && r.guest.Options.AutoUnmount
	}
	return slices.ContainsFunc(r.req.Options, func(list string) bool { return strings.Contains(list, option) })
}

// judgeMount collects the facts and decides. Notices for the caller go to tell.
func judgeMount(r *run, at *mount.Mountpoint, device *mount.Device, tell func(string)) (plan policy.Plan, err error) {
	facts := policy.MountFacts{
		Caller:     r.caller(),
		Mountpoint: at.Facts,
		Device:     device.Path,
	}
	if facts.Settings, facts.ConfAdvice, err = readConf(r, tell); err != nil {
		return plan, err
	}
	if mentions(r, "blkdev") {
		known, err := mount.KnowsFS("fuseblk")
		facts.FuseBlk = known || err != nil // in doubt, as where /proc has processes only, the kernel decides
	}
	if !facts.Caller.Root() && facts.Settings.MountMax != fuseconf.NoLimit {
		count := mount.CountFuse
		if r.guest != nil {
			count = r.guest.Count
		}
		if facts.Mounted, err = count(facts.Settings.MountMax); err != nil {
			return plan, err
		}
	}
	var notices []string
	if r.guest != nil {
		plan, notices, err = policy.MountParsed(facts, r.guest.Options)
	} else {
		plan, notices, err = policy.Mount(facts, r.req.Options...)
	}
	for _, notice := range notices {
		tell(notice)
	}
	if err == nil && r.guest != nil {
		err = r.guest.Proven(at)
	}
	return plan, err
}

// reauthorize is asked right before the mount is attached. The caller may have stopped this process
// for any time since the first judgement: by a signal, by a standard error that nobody reads, or in
// sync-init by not answering. They may have lost a permission, or filled the table up to mount_max.
func reauthorize(r *run, at *mount.Mountpoint, device *mount.Device) func() error {
	return func() error {
		if err := at.Examine(r.caller()); err != nil {
			return err
		}
		_, err := judgeMount(r, at, device, func(string) {}) // the caller has seen the notices
		return err
	}
}

// readConf reads /etc/fuse.conf as the caller. advice is what the administrator can do about a file
// that is not used.
func readConf(r *run, tell func(string)) (s fuseconf.Settings, advice string, err error) {
	if r.guest != nil && r.guest.Settings != nil {
		return *r.guest.Settings, "", nil
	}
	s = fuseconf.Defaults()
	fd, err := rawfile.Open(fuseconf.Path, unix.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		text := "failed to open " + fuseconf.Path + ": " + mount.Strerror(err)
		switch {
		case errors.Is(err, unix.ENOENT):
			return s, "", nil
		case errors.Is(err, unix.EACCES):
			tell(text)
			return s, "make " + fuseconf.Path + " readable (chmod 0644), with the line user_allow_other in it", nil
		case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENAMETOOLONG),
			errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EOVERFLOW):
			tell(text) // the defaults are the safe side
			return s, "", nil
		}
		return s, "", errors.New(text)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return s, "", errors.New("failed to examine " + fuseconf.Path + ": " + mount.Strerror(err))
	}
	var parsed fuseconf.Settings
	var warnings []string
	text, err := rawfile.TextOf(fd, fuseconf.MaxFile+1)
	if err == nil {
		parsed, warnings, err = fuseconf.Parse(text)
	}
	unmapped := false
	if st.Uid != 0 {
		uidMap, _ := rawfile.Text("/proc/self/uid_map") // without /proc, every uid counts as mapped
		unmapped = fuseconf.Unmapped(uidMap, st.Uid)
	}
	if problem := fuseconf.Untrusted(r.who.UID, st.Uid, st.Mode, unmapped); problem != "" {
		tell(fuseconf.Path + " ignored: " + problem)
		if err == nil && parsed.UserAllowOther {
			advice = "make " + fuseconf.Path + " root's, and writable for root alone: it has the line user_allow_other already"
		}
		return s, advice, nil
	}
	if err != nil {
		return s, "", errors.New("reading " + fuseconf.Path + ": read failed (" + mount.Strerror(err) + ")")
	}
	for _, warning := range warnings {
		tell(warning)
	}
	return parsed, "", nil
}

func sendDevice(socket int, device *mount.Device) error {
	if err := fdpass.Send(socket, device.FD); err != nil {
		return errors.New("failed to send the fuse descriptor: " + mount.Strerror(err))
	}
	return nil
}

// writeRecord writes the mount into the tables of user space, if there are any. A failure is
// a warning: the mount is there.
func writeRecord(r *run, plan policy.Plan, mounted *mount.Mounted) (recorded bool) {
	if !r.mayWriteTables() || len(plan.Userspace) == 0 && !mtab.MayExist(mtab.MtabPath) {
		return false
	}
	rec, err := mounted.Record(plan)
	if err == nil {
		err = mount.RecordMount(rec)
	}
	if err != nil {
		r.report.warn("warning: " + notWritten(r, err, len(plan.Userspace) > 0 && mtab.MayExist(mtab.UtabPath)))
	}
	return err == nil
}

// handOver records the mount, tells the caller of it by send, and then ends or watches it.
// A failure before the caller has the mount takes it back.
func handOver(r *run, plan policy.Plan, mounted *mount.Mounted, socket int, send func() error) error {
	recorded := writeRecord(r, plan, mounted)
	r.logDone("mounted")
	err := mounted.Release()
	if err == nil && r.guest != nil && r.guest.Mounted != nil {
		err = r.guest.Mounted(mounted.Entry.Connection())
	}
	if err == nil {
		err = send()
	}
	if err != nil {
		return takeBack(r, err, mounted)
	}
	r.over = true
	if plan.AutoUnmount {
		r.report.flush() // daemonize gives up standard error
		err := daemonize(r, socket, recorded)
		if err == nil {
			return watch(r, socket, mounted.Entry)
		}
		r.report.warn("warning: the mount will not be unmounted automatically: " + err.Error())
	}
	if err := priv.GiveUp(); err != nil { // the rest ends with the process
		r.report.warn("warning: " + err.Error())
	}
	return nil
}

// takeBack unmounts what was just mounted, with all the checks of -u, by the mount itself and not
// by its path. It tries twice: the failure may be one of memory, and nobody serves the mount. For
// a while it waits for what another call has mounted on top at the same moment, and takes back;
// umount2 answers EINVAL if that went while it waited for the kernel's lock.
func takeBack(r *run, why error, mounted *mount.Mounted) error {
	if mounted == nil {
		return why
	}
	undo := func() error {
		target, err := mounted.Target()
		if errors.Is(err, mtab.ErrNotListed) {
			return nil // it was unmounted meanwhile
		}
		if err != nil {
			return err
		}
		err = unmountTarget(r, target, true)
		if _, gone := mtab.Reload(target.Entry); err != nil && errors.Is(gone, mtab.ErrNotListed) {
			return nil // another call that takes back its own has taken this one, which lay on top of it
		}
		return err
	}
	tries, err := 0, error(nil)
	mount.UntilUncovered(func() bool {
		tries++
		err = undo()
		covered := errors.Is(err, mount.ErrCovered) || errors.Is(err, unix.EINVAL)
		return err == nil || tries > 1 && !covered
	})
	if err != nil {
		return fmt.Errorf("%w; the mount could not be taken back: %w", why, err)
	}
	return fmt.Errorf("%w; the mount was taken back", why)
}

func twice(f func() error) error {
	err := f()
	if err != nil {
		err = f()
	}
	return err
}

// mountSyncInit sends the device before there is a mount, waits for one byte that says that it is
// served, mounts, and sends the result. A kernel that was asked to (FUSE_DEV_IOC_SYNC_INIT, Linux
// 6.18) creates the file system only when the daemon has answered INIT.
func mountSyncInit(r *run, plan policy.Plan, device *mount.Device, at *mount.Mountpoint, socket int) error {
	// The socket's other end may be among what was inherited. While it is open here, the
	// end of the caller does not show.
	if err := closeDescriptors(socket, isOwn); err != nil {
		return err
	}
	limit, err := time.ParseDuration(syncInitLimit)
	if err != nil {
		return err
	}
	sent := false
	begin := func() error {
		if r.guest != nil {
			if err := r.guest.Wait(limit); err != nil {
				return err
			}
		}
		if err := sendDevice(socket, device); err != nil {
			return err
		}
		sent = true
		return waitError(fdpass.WaitByte(socket, limit), "the caller did not answer")
	}
	wait := func(ended int) error {
		return waitError(fdpass.WaitWhileOpen(socket, ended, limit), "the daemon did not answer the kernel")
	}
	mounted, err := mount.MountSyncInit(plan, device, at, begin, wait, reauthorize(r, at, device))
	if err != nil && !sent {
		return err // and no status: the caller has not even the device
	}
	if err != nil {
		// Before the status is sent: the caller could then kill this process, and keep a
		// mount that should not be.
		err = takeBack(r, err, mounted)
		if failed := fdpass.SendStatus(socket, statusOf(err)); failed != nil && !errors.Is(failed, io.EOF) {
			err = fmt.Errorf("%w; and nobody could be told", err)
		}
		return err
	}
	return handOver(r, plan, mounted, socket, func() error {
		if err := fdpass.SendStatus(socket, 0); err != nil {
			return errors.New("failed to send the status: " + mount.Strerror(err))
		}
		return nil
	})
}

// waitError says why a wait ended without result. silent is the case of a timeout.
func waitError(err error, silent string) error {
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("mount given up: the caller closed the socket: %w", err)
	case errors.Is(err, fdpass.ErrTimeout):
		return fmt.Errorf("mount given up: %s: %w", silent, unix.ETIMEDOUT)
	}
	return err
}

// statusOf is the error that is sent to the caller.
func statusOf(err error) unix.Errno {
	var errno unix.Errno
	var refusal *policy.Refusal
	switch {
	case errors.As(err, &errno) && errno != 0:
		return errno
	case errors.As(err, &refusal):
		return unix.EPERM
	}
	return unix.EIO
}

// syncInitLimit is how long the caller may take to answer, and the daemon to answer the
// kernel. Until then the process holds CAP_SYS_ADMIN and the pinned mountpoint. It is a
// text, so that the linker can set it for tests.
var syncInitLimit = "300s"
