package helper

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/apparmor"
	"github.com/go-fusermount/fusermount/internal/entry"
	"github.com/go-fusermount/fusermount/internal/fusedev"
	"github.com/go-fusermount/fusermount/internal/holders"
	"github.com/go-fusermount/fusermount/internal/mount"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/pathfd"
	"github.com/go-fusermount/fusermount/internal/printable"
	"github.com/go-fusermount/fusermount/internal/priv"
	"github.com/go-fusermount/fusermount/internal/rawfile"
	"github.com/go-fusermount/fusermount/internal/seccomp"
	"github.com/go-fusermount/fusermount/internal/signals"
)

// This file alone writes for the caller. A message is one line on standard error,
// "PROGRAM: text", in one write so that two helpers do not mix theirs; a hint is a second
// line. Control characters in it are escaped.

type reporter struct {
	program string
	// muted stops all messages: the caller asked for it, or standard error is the comm
	// socket, where a further byte would break the protocol.
	muted bool
	later string // to be written when signals are no longer held

	keep bool // messages are kept in kept, for a client of the mount service
	kept []string
}

func newReporter(argv []string) *reporter {
	if len(argv) == 0 {
		return &reporter{program: "fusermount3"}
	}
	return &reporter{program: printable.Text(argv[0])}
}

// fail reports an error, and a hint if it is not empty.
func (r *reporter) fail(err error, hint string) {
	text := r.line(err.Error())
	if hint != "" {
		text += r.line("hint: " + hint)
	}
	r.write(text)
}

// warn reports something, but not while signals are held: standard error may be a full
// pipe, or a file of a daemon that hangs.
func (r *reporter) warn(text string) {
	if r.keep {
		r.kept = append(r.kept, printable.Text(text))
		return
	}
	r.later += r.line(text)
	if !signals.Held() {
		r.write("")
	}
}

// flush writes what had to wait. Signals can end that.
func (r *reporter) flush() {
	if r.later == "" {
		return
	}
	err := signals.Through(func() error {
		r.write("")
		return nil
	})
	if err != nil {
		r.write("")
	}
}

func (r *reporter) line(text string) string { return r.program + ": " + printable.Text(text) + "\n" }

// write tries once: nobody can be told that standard error is gone.
func (r *reporter) write(text string) {
	text, r.later = r.later+text, ""
	if !r.muted {
		_ = rawfile.WriteAll(unix.Stderr, text)
	}
}

// print writes text to standard output, with all privileges given up.
func (r *run) print(text string) error {
	err := priv.GiveUp()
	if err == nil {
		err = seccomp.To(seccomp.Print, r.who.UID, r.who.GID)
	}
	if err != nil {
		return err
	}
	if err := rawfile.WriteAll(unix.Stdout, text); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}

// hint says what the caller can do about an error, where that is known.
func (r *run) hint(err error) string {
	var own interface{ Hint() string }
	var become *entry.Error
	var failed *mount.MountError
	var unmount *mount.UnmountError
	mounting, unmounting := errors.As(err, &failed), errors.As(err, &unmount)
	switch {
	case r.req.Mountpoint != "" && r.req.Mountpoint[0] != '/' && !mount.Reachable():
		return mount.ErrUnreachable.Error()
	case errors.Is(err, errNoSocket):
		return "FUSE programs such as sshfs call this one to mount, and give it a socket; to unmount, add -u"
	case errors.As(err, &own):
		return own.Hint()
	case errors.As(err, &become) && strings.HasPrefix(become.Step, "setres") && become.Errno == unix.EINVAL:
		return "your ids may have no mapping in this user namespace: see /proc/self/uid_map and gid_map"
	case (mounting || unmounting) && errors.Is(err, unix.EPERM):
		return r.privilegeHint()
	case (mounting || unmounting) && errors.Is(err, unix.EACCES):
		// The kernel does not refuse with EACCES by itself, but a profile of AppArmor does.
		if name, mode := apparmor.Profile(); mode == "enforce" || mode == "kill" {
			return "the AppArmor profile '" + name + "' confines this program: " + apparmor.Help(name)
		}
	case mounting && errors.Is(err, unix.EINVAL):
		return fusedev.WrongFile(devicePath())
	case unmounting && errors.Is(err, unix.EBUSY):
		return r.busyHint(unmount)
	case unmounting && errors.Is(err, unix.EINVAL):
		return "the mount was exchanged meanwhile, or comes from outside of this namespace, where alone it can be unmounted"
	}
	return ""
}

// privilegeHint says why the process lacks CAP_SYS_ADMIN or could not use it, and what
// helps. It examines the program's own file.
func (r *run) privilegeHint() string {
	o := r.who.Origin
	if r.noService != nil && !errors.Is(r.noService, unix.ENOENT) && !errors.Is(r.noService, unix.ENOTDIR) {
		return r.noService.Error()
	}
	status, _ := rawfile.Text("/proc/self/status") // without /proc, less is known
	bounding, err := strconv.ParseUint(field(status, "CapBnd"), 16, 64)
	switch {
	case o.Permitted&uint64(priv.SysAdmin) != 0:
		return "CAP_SYS_ADMIN is there, but the kernel refuses: this mount namespace may belong to another user namespace, " +
			"or a security module or seccomp filter forbids mounting"
	case r.who.UID != 0 && err == nil && bounding&uint64(priv.SysAdmin) == 0:
		return "the capability bounding set lacks CAP_SYS_ADMIN, so that no program can get it: " +
			"a container option or CapabilityBoundingSet= of a systemd unit did that"
	case o.EUID == 0:
		return "root has no CAP_SYS_ADMIN here: start the container with it (--cap-add SYS_ADMIN --device /dev/fuse), " +
			"or mount inside a user namespace of your own"
	}
	const self = "/proc/self/exe"
	var st unix.Stat_t
	var fs unix.Statfs_t
	if unix.Stat(self, &st) != nil || unix.Statfs(self, &fs) != nil {
		return "the program has no privilege, and its file cannot be examined"
	}
	caps, _ := unix.Getxattr(self, "security.capability", nil) // an error: no file capability
	tracer, _ := strconv.Atoi(field(status, "TracerPid"))      // 0: none
	const noEffect = "the setuid bit had no effect: "
	switch {
	case st.Mode&unix.S_ISUID == 0 && caps <= 0:
		path, _ := pathfd.Readlink(self) // it was examined just now
		return "the program is installed without the setuid bit and without the file capability; " +
			"as root: chown root " + printable.ShellWord(path) + " && chmod u+s " + printable.ShellWord(path)
	case o.NoNewPrivs:
		return "no_new_privs is set, so the setuid bit has no effect: " +
			"a sandbox, a container option or NoNewPrivileges= of a systemd unit did that"
	case fs.Flags&unix.ST_NOSUID != 0:
		return "the program lies on a file system mounted nosuid, so its setuid bit has no effect"
	case tracer != 0:
		return noEffect + "it is traced by " + holders.Name(tracer) + fmt.Sprintf(" (pid %d), which is not root", tracer)
	case st.Uid == 0:
		return noEffect + "a tracer that is not root started it, or a program that shares its working directory with another (CLONE_FS)"
	}
	return noEffect + fmt.Sprintf("in this user namespace its owner is user %d, and not root", st.Uid)
}

// field gives a value of /proc/PID/status.
func field(status, name string) string {
	_, rest, _ := strings.Cut(status, "\n"+name+":\t")
	value, _, _ := strings.Cut(rest, "\n")
	return value
}

// busyHint says what keeps a mount busy, as far as the caller may know it. Everything but
// the caller's own privileges is given up for that.
func (r *run) busyHint(e *mount.UnmountError) string {
	const detach = "; -z detaches it now and cleans up when it is no longer used"
	if r.report.muted || priv.Shed(priv.DACReadSearch|priv.SysPtrace) != nil {
		return ""
	}
	if inside, err := mtab.Descendants(e.Mount); err == nil && len(inside) > 0 {
		return "unmount " + some(inside, func(m mtab.Entry) string { return printable.ShellWord(m.Mountpoint) }) + " first" + detach
	}
	using, err := holders.Of(e.Mount)
	if err == nil && len(using) > 0 {
		return "used by " + some(using, func(p holders.Process) string { return fmt.Sprintf("%s (pid %d)", p.Name, p.PID) }) + detach
	}
	if loops := holders.Loops(e.Mount); len(loops) > 0 {
		return "used by " + strings.Join(loops, ", ") + " (see losetup(8))" + detach
	}
	return "something still uses it: an open file, a working directory, or a mount inside ('fusectl check " +
		printable.ShellWord(e.Mount.Mountpoint) + "' says whether its daemon hangs)" + detach
}

// some names the first five of a list.
func some[T any](list []T, name func(T) string) string {
	const most = 5
	var names []string
	for item := range slices.Values(list[:min(len(list), most)]) {
		names = append(names, name(item))
	}
	if more := len(list) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

// Refusals and successes are logged to syslog. No flag or variable turns that off.
const (
	logSocket   = "/dev/log"
	logPriority = "85" // LOG_AUTHPRIV|LOG_NOTICE (syslog(3))

	// maxField bounds each part of a line in bytes: a long name must not make the line too
	// long to be sent.
	maxField = 512
)

func about(fstype, source string) string { return " type " + cut(fstype) + " source " + cut(source) }

// logDone logs a success. A mount is logged before its caller hears of it: they could
// kill this process from then on.
func (r *run) logDone(what string) { r.log(what + " " + cut(r.path) + r.about) }

func (r *run) logRefusal(what string, err error) {
	r.log(what + " of " + cut(r.path) + r.about + " refused: " + cut(err.Error()))
}

func cut(text string) string {
	if len(text) <= maxField {
		return text
	}
	return text[:maxField] + "[...]"
}

// log sends one datagram. It never waits for the reader; where there is none, or it is
// slow, the line is lost.
func (r *run) log(text string) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	// Not package fmt: its first use costs seven page faults, and a mount makes no other.
	name := "fusermount3"
	if r.guest != nil {
		name = "fusermountd"
	}
	line := "<" + logPriority + ">" + name + "[" + strconv.Itoa(unix.Getpid()) + "]: uid " +
		strconv.FormatUint(uint64(r.who.UID), 10) + ": " + strings.ToValidUTF8(printable.Text(text), "?")
	_ = unix.Sendto(fd, []byte(line), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: logSocket})
}
