// Package collect gathers the facts that fusectl judges. It looks with the rights of
// the caller and changes nothing.
//
// It asks no daemon of a FUSE mount, so that none can make it wait: nothing below a
// FUSE mount is looked up, and of its root nothing is asked but the mount's id. Other
// file systems that hang, such as NFS, can make Find wait.
package collect

import (
	"errors"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/apparmor"
	"github.com/go-fusermount/fusermount/internal/connection"
	"github.com/go-fusermount/fusermount/internal/diagnose"
	"github.com/go-fusermount/fusermount/internal/fusedev"
	"github.com/go-fusermount/fusermount/internal/holders"
	"github.com/go-fusermount/fusermount/internal/mount"
	"github.com/go-fusermount/fusermount/internal/pathfd"
	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// Process finds out what holds for this process, and so for what it would start.
func Process() (p diagnose.Process) {
	// These need no /proc. A call that a sandbox refuses counts as no.
	var caps [2]unix.CapUserData
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	p.Admin = unix.Capget(&header, &caps[0]) == nil && caps[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
	bounded, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, unix.CAP_SYS_ADMIN, 0, 0, 0)
	p.Bounded = err == nil && bounded == 0
	noNewPrivs, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	p.NoNewPrivs = err == nil && noNewPrivs == 1
	p.Profile, p.Mode = apparmor.Profile()
	p.Tasks = tasks()
	text, err := smallFile("/proc/self/status")
	if err != nil {
		p.Unknown = "/proc/self/status: " + mount.Strerror(err)
		return p
	}
	filtered := false
	for line := range strings.SplitSeq(text, "\n") {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		n, _ := strconv.Atoi(value) // 0 for what is no number
		switch name {
		case "TracerPid":
			p.Tracer = diagnose.Holder{PID: n, Name: holders.Name(n)}
		case "Seccomp":
			filtered = n == unix.SECCOMP_MODE_FILTER
		case "Seccomp_filters": // since Linux 5.9
			p.Filters = n
		}
	}
	if filtered {
		p.Filters = max(p.Filters, 1)
	}
	return p
}

// tasks looks for the tightest limit of the pids cgroups and of RLIMIT_NPROC.
func tasks() (t diagnose.Tasks) {
	own, err := rawfile.Numbers("/proc/self/task")
	text, unread := smallFile("/proc/self/cgroup")
	if err != nil || unread != nil {
		return t
	}
	least := func(limit, used int, name string) {
		if left := limit - used + len(own); t.Limit == "" || left < t.Left {
			t = diagnose.Tasks{Left: max(left, 0), Limit: name}
		}
	}
	for line := range strings.Lines(text) { // cgroups(7)
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) < 3 || fields[1] != "" && fields[1] != "pids" {
			continue
		}
		top := path.Join("/sys/fs/cgroup", fields[1])
		for dir := path.Join(top, fields[2]); len(dir) > len(top); dir = path.Dir(dir) {
			limit, err := strconv.Atoi(firstLine(dir + "/pids.max"))
			used, other := strconv.Atoi(firstLine(dir + "/pids.current"))
			if err == nil && other == nil {
				least(limit, used, dir+"/pids.max")
			}
		}
	}
	var limit unix.Rlimit
	const many = 1 << 16 // not worth counting
	if unix.Getuid() != 0 && unix.Getrlimit(unix.RLIMIT_NPROC, &limit) == nil && limit.Cur < many {
		least(int(limit.Cur), threadsOf(unix.Getuid()), "RLIMIT_NPROC, ulimit -u")
	}
	return t
}

// threadsOf counts the threads of a user's processes.
func threadsOf(uid int) (n int) {
	pids, _ := rawfile.Numbers("/proc") // without it, there are none to be seen
	for _, pid := range pids {
		dir := "/proc/" + strconv.Itoa(pid)
		var st unix.Stat_t
		if unix.Stat(dir, &st) != nil || int(st.Uid) != uid {
			continue
		}
		threads, _ := rawfile.Numbers(dir + "/task") // it has ended
		n += len(threads)
	}
	return n
}

// System finds out what surrounds the process.
func System() diagnose.System {
	s := diagnose.System{
		Release:     release(),
		InitialUser: true,
		OuterMounts: outerMounts(),
		Container:   container(),
		NewMount:    feature(hasFsconfig()),
		Statmount:   feature(hasStatmount()),
	}
	const namespace = "/proc/self/ns/user"
	name, err := pathfd.Readlink(namespace)
	switch {
	case err != nil:
		s.Unknown = namespace + ": " + mount.Strerror(err)
	case name != initialUser:
		s.InitialUser = false
		s.IDs = strings.Join(strings.Fields(firstLine("/proc/self/uid_map")), " ")
	}
	return s
}

// release is the kernel's, for people and for the directory of its modules.
func release() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}

// initialUser is the first user namespace: its number is the same on every machine
// (linux/nsfs.h).
const initialUser = "user:[4026531837]"

// outerMounts says whether the mount namespace belongs to a user namespace that is not
// ours or inside of ours: nothing that we are can mount there.
func outerMounts() bool {
	fd, err := rawfile.Open("/proc/self/ns/mnt", unix.O_RDONLY, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	owner, err := unix.IoctlRetInt(fd, unix.NS_GET_USERNS)
	if err == nil {
		_ = unix.Close(owner) // it was only to be opened
	}
	return errors.Is(err, unix.EPERM)
}

// container gives the first of the usual signs of a container.
func container() string {
	if name := firstLine("/run/systemd/container"); name != "" {
		return name
	}
	for _, sign := range []string{"/run/.containerenv", "/.dockerenv"} {
		var st unix.Stat_t
		if unix.Lstat(sign, &st) == nil {
			return sign
		}
	}
	return ""
}

// feature reads the error of a call that was made with impossible arguments.
func feature(err error) diagnose.Feature {
	switch {
	case errors.Is(err, unix.ENOSYS):
		return diagnose.Absent
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return diagnose.Forbidden
	}
	return diagnose.Present
}

// hasFsconfig asks for the new mount API by a call of it that needs no privilege.
func hasFsconfig() error {
	_, _, errno := unix.RawSyscall6(unix.SYS_FSCONFIG, ^uintptr(0), 0, 0, 0, 0, 0)
	return errno
}

func hasStatmount() error {
	_, _, errno := unix.RawSyscall6(unix.SYS_STATMOUNT, 0, 0, 0, 0, 0, 0)
	return errno
}

// Device examines the fuse device, the module behind it, and whether the kernel knows
// sync-init.
func Device(release string) (d diagnose.Device, syncInit diagnose.Feature) {
	d.Path, syncInit = fusedev.Path, diagnose.Unasked
	fd, err := fusedev.Open(d.Path)
	if err != nil {
		failed := &mount.DeviceError{Path: d.Path, Errno: err}
		d.Problem = &diagnose.Problem{Text: failed.Error(), Next: failed.Hint()}
		d.Absent = failed.Absent()
	} else {
		defer unix.Close(fd)
		if fusedev.Is(fd) {
			err = connection.SyncInit(fd)
			syncInit = feature(err)
			if errors.Is(err, unix.ENOTTY) {
				syncInit = diagnose.Absent
			}
		}
	}
	if text, next, _ := strings.Cut(fusedev.WrongFile(d.Path), "; "); text != "" {
		d.Wrong = &diagnose.Problem{Text: text, Next: next}
	}
	if d.Problem == nil && d.Wrong == nil { // it opens: its driver is there
		d.Known = true
		return d, syncInit
	}
	if d.Known, err = mount.KnowsFS("fuse"); err != nil {
		d.KnownErr = err.Error()
		return d, syncInit
	}
	if !d.Known {
		d.Module, d.Locked = module(release)
	}
	return d, syncInit
}

// module finds the file of the fuse module for the running kernel, and says whether the
// kernel has been told to load no more modules.
func module(release string) (file string, locked bool) {
	base := "/lib/modules/" + release + "/kernel/fs/fuse/fuse.ko"
	for _, packed := range []string{"", ".xz", ".zst", ".gz"} {
		var st unix.Stat_t
		if unix.Stat(base+packed, &st) == nil {
			file = base + packed
		}
	}
	return file, firstLine("/proc/sys/kernel/modules_disabled") == "1"
}

// maxSmall bounds in bytes what is read of a file.
const maxSmall = 1 << 20

// smallFile gives the beginning of a file. It does not wait for a fifo's writer.
func smallFile(path string) (string, error) {
	fd, err := rawfile.Open(path, unix.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	return rawfile.TextOf(fd, maxSmall)
}

// firstLine is for files of which less than that is of no use.
func firstLine(path string) string {
	text, err := smallFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(text, "\n")
	return line
}

func linkText(path string) string {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlink(path, buf)
	if err != nil {
		return ""
	}
	return string(buf[:n])
}
