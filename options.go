//go:build linux

package fusermount

import (
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fsparam"
	"github.com/go-fusermount/fusermount/internal/fusedev"
	"github.com/go-fusermount/fusermount/internal/mountopts"
	"github.com/go-fusermount/fusermount/internal/optwrite"
)

// Method says what makes a system call for a mount or an unmount: this process or a
// set-uid helper.
type Method int

const (
	// MethodAuto is MethodDirect in a process with CAP_SYS_ADMIN, with a helper where
	// the kernel does not let it, and MethodHelper in every other process.
	MethodAuto Method = iota
	// MethodDirect never runs a helper to mount or unmount.
	MethodDirect
	// MethodHelper always runs a helper.
	MethodHelper
)

func (m Method) check() error {
	if m < MethodAuto || m > MethodHelper {
		return wrap("options: there is no such Method", unix.EINVAL)
	}
	return nil
}

// Options say what to mount and how. The zero value, as nil, is a mount of type fuse
// that is nosuid, nodev, writable, and accessible to its owner alone.
type Options struct {
	// FSName is the mount's source, as mount(8) lists it: a host, a directory, a
	// device. Any text but NUL; commas and backslashes need no escaping. When empty it
	// is Subtype, else /dev/fuse.
	FSName string
	// Subtype is the S of the type fuse.S: the file system's name.
	Subtype string

	ReadOnly    bool // ro
	NoExec      bool // noexec
	NoAtime     bool // noatime
	NoSymFollow bool // nosymfollow; the helper of libfuse 3.14 does not know it
	Sync        bool // sync
	DirSync     bool // dirsync

	// Suid and Dev take off nosuid and nodev. Only root may; for others a helper
	// ignores them, and warns (see [MountedInfo]).
	Suid, Dev bool

	// AllowOther lets other users than the owner access the mount. Where a helper
	// mounts, a caller who is not root needs the line user_allow_other in
	// /etc/fuse.conf; that is looked up before anything else is done.
	AllowOther bool
	// AllowRoot is meant for the owner and root. The kernel does not know it: here it
	// is AllowOther, and the file system has to refuse requests of uids other than 0
	// and its owner's.
	AllowRoot bool
	// DefaultPermissions has the kernel check the modes of files.
	DefaultPermissions bool
	// MaxRead is the longest read in bytes that the kernel asks for at once; 0 leaves
	// it to the kernel, which raises small values to 4096.
	MaxRead uint32

	// Extra are further options, each as after an -o of its own: "nodiratime",
	// "ro,blksize=512". They come last, so they win. A helper also gets those that this
	// package does not know, which may not end in a lone backslash; a direct mount
	// refuses them.
	Extra []string

	// AutoUnmount has the mount taken away when this process ends without having
	// unmounted, however it ends. A process of the helper stays for that, so a helper is
	// needed, and it mounts, too; with MethodDirect it is run after the mount only to
	// watch (fusermount3 --auto-unmount). The helper of libfuse 3.14 does not know that,
	// and of users' own mounts it takes away only those with AllowOther.
	AutoUnmount bool

	// SyncInit, if not nil, is called once with the device, and has to see to it that
	// the device is served: it starts the library's goroutines and returns. Then the
	// kernel sends its first request (FUSE_INIT) while the mount is being made, and an
	// error of the daemon is an error of Mount.
	//
	// Where kernel (Linux 6.18) and helper can do that, SyncInit is called before there
	// is a mount, reads of the device block until there is one, and Mount returns after
	// INIT was answered. Otherwise SyncInit is called when the mount is attached. So the
	// same code serves both, and [MountedInfo] tells which it was.
	//
	// An error that it returns ends Mount, and nothing is mounted; it must not have
	// started a read of the device then, since only a mount would end that read. For the
	// same reason a mount is tried even if the context has ended when SyncInit returns,
	// and is refused. Only a helper that is killed in between leaves a read before the
	// mount blocked for good, in a thread of its own. If SyncInit panics or calls
	// runtime.Goexit, Mount cleans up as after an error. The device stays the Mounted's,
	// and is closed if Mount fails.
	SyncInit func(device *os.File) error

	// ReplaceStale takes away what a dead daemon has left at the mountpoint: FUSE mounts
	// that are the caller's and that [Daemons] calls dead.
	ReplaceStale bool

	// Helper is the helper to run, in place of the one that [FindHelper] finds. A bare
	// name is looked up in PATH; in a program that runs with more rights than its caller
	// has, only in the directories that FindHelper always knows.
	Helper string
	// Method keeps a process from mounting directly, or from running a helper.
	Method Method

	// Logger, if not nil, gets a record of each helper that is run, with its arguments,
	// of each fallback to another way (both at level Debug), and of each line that a
	// helper writes and that is not in an error (at level Warn). It also serves the
	// methods of the [Mounted].
	Logger *slog.Logger
}

// UnmountPolicy is what to do while a mount is busy: while files in it are open or
// directories in use, or while something is mounted inside or on top.
type UnmountPolicy int

const (
	// UnmountFail gives up at once, with EBUSY. This is the default.
	UnmountFail UnmountPolicy = iota
	// UnmountRetry tries again until the context ends; the error is then both EBUSY and
	// the context's.
	UnmountRetry
	// UnmountLazy detaches the mount from the mount table at once, with everything that
	// is mounted inside; the file system ends when it is not used any more. A helper
	// refuses it to users while another user's mount lies inside. It does not detach a
	// mount on which another one lies.
	UnmountLazy
)

// UnmountOptions say how to unmount. The zero value, as nil, is the default of each; in
// [Mounted.Unmount] a zero Helper, Method and Logger are those of the mount's Options.
type UnmountOptions struct {
	Policy UnmountPolicy
	Helper string       // as Options.Helper
	Method Method       // as Options.Method
	Logger *slog.Logger // as Options.Logger
}

// over returns o, with the zero fields taken from defaults.
func (o *UnmountOptions) over(defaults UnmountOptions) UnmountOptions {
	if o == nil {
		return defaults
	}
	merged := *o
	if merged.Helper == "" {
		merged.Helper = defaults.Helper
	}
	if merged.Method == MethodAuto {
		merged.Method = defaults.Method
	}
	if merged.Logger == nil {
		merged.Logger = defaults.Logger
	}
	return merged
}

func (o *UnmountOptions) check() error {
	if o.Policy < UnmountFail || o.Policy > UnmountLazy {
		return wrap("options: there is no such UnmountPolicy", unix.EINVAL)
	}
	return o.Method.check()
}

// logTo returns a logger, for nil one that drops all.
func logTo(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}

// spec is what the Options of one call of Mount say.
type spec struct {
	*Options
	user    caller
	typed   mountopts.Options
	unknown []string // the extra options that only a helper may know

	served  bool // SyncInit was called, which is promised to happen once
	refused bool // SyncInit failed, which is no fault of a helper
}

func (o *Options) spec() (*spec, error) {
	if o == nil {
		o = &Options{}
	}
	s := &spec{Options: o, user: currentCaller(), typed: o.list()}
	if err := o.Method.check(); err != nil {
		return nil, err
	}
	if err := s.parseExtra(); err != nil {
		return nil, err
	}
	text := s.typed.FSName + s.typed.Subtype + strings.Join(append(s.unknown, s.typed.Userspace...), "")
	if strings.IndexByte(text, 0) >= 0 {
		return nil, wrap("options: NUL in a name", unix.EINVAL)
	}
	s.typed.AllowOther = s.typed.AllowOther || s.typed.AllowRoot
	s.typed.AllowRoot = false
	return s, nil
}

func (o *Options) list() mountopts.Options {
	return mountopts.Options{
		FSName: o.FSName, Subtype: o.Subtype, ReadOnly: o.ReadOnly, NoExec: o.NoExec,
		NoAtime: o.NoAtime, NoSymfollow: o.NoSymFollow, Sync: o.Sync, DirSync: o.DirSync,
		Suid: o.Suid, Dev: o.Dev, AllowOther: o.AllowOther, AllowRoot: o.AllowRoot, DefaultPermissions: o.DefaultPermissions,
		MaxRead:     mountopts.Number{Given: o.MaxRead != 0, Value: o.MaxRead},
		AutoUnmount: o.AutoUnmount,
	}
}

// parseExtra adds the extra options to the typed ones, of which later ones win.
func (s *spec) parseExtra() error {
	if len(s.Extra) == 0 {
		return nil
	}
	lists := []string{optwrite.List(s.typed)} // each apart, so that no option reaches into the next list
	for _, extra := range s.Extra {
		var unknown *mountopts.UnknownError
		if _, err := mountopts.Parse(extra); errors.As(err, &unknown) {
			s.unknown = append(s.unknown, extra)
		} else {
			lists = append(lists, extra)
		}
	}
	var err error
	if s.typed, err = mountopts.Parse(lists...); err != nil {
		return wrap("options: "+err.Error(), err, unix.EINVAL)
	}
	// A helper gets all in one list: libfuse's takes only the last of several.
	for _, text := range slices.Concat(s.typed.Userspace, s.unknown) {
		// In a list, a backslash that is not escaped itself escapes the comma behind it.
		if (len(text)-len(strings.TrimRight(text, `\`)))%2 != 0 {
			return wrap("options: '"+text+"' ends in a backslash, which would join it to the next", unix.EINVAL)
		}
	}
	return nil
}

// arguments are the command line by which a helper mounts.
func (s *spec) arguments(mountpoint string, flags ...string) []string {
	var list []string
	if typed := optwrite.List(s.typed); typed != "" {
		list = append(list, typed)
	}
	list = append(list, s.unknown...)
	if len(list) > 0 {
		flags = append(flags, "-o", strings.Join(list, ","))
	}
	return append(flags, "--", mountpoint)
}

// source is the mount's source in the mount table.
func (s *spec) source() string {
	switch {
	case s.typed.FSName != "":
		return s.typed.FSName
	case s.typed.Subtype != "":
		return s.typed.Subtype
	}
	return fusedev.Path
}

// params are what a direct mount tells the kernel.
func (s *spec) params(rootMode uint32) fsparam.Params {
	o := s.typed
	return fsparam.Params{
		BlockDevice: o.BlkDev, Subtype: o.Subtype, Source: s.source(),
		ReadOnly: o.ReadOnly, Sync: o.Sync, DirSync: o.DirSync,
		NoSuid: !o.Suid, NoDev: !o.Dev, NoExec: o.NoExec,
		NoAtime: o.NoAtime, NoDirAtime: o.NoDirAtime, NoSymfollow: o.NoSymfollow,
		UserID: s.user.uid, GroupID: s.user.gid, RootMode: rootMode,
		AllowOther: o.AllowOther, DefaultPermissions: o.DefaultPermissions,
		MaxRead: o.MaxRead, BlkSize: o.BlkSize,
	}
}

// unmountOptions are those of the mount that was made by these options.
func (s *spec) unmountOptions(policy UnmountPolicy) UnmountOptions {
	return UnmountOptions{Policy: policy, Helper: s.Helper, Method: s.Method, Logger: s.Logger}
}
