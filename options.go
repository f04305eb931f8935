//go:build linux

package fusermount

import (
	"errors"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/directmount"
	"github.com/go-fusermount/fusermount/internal/fsparam"
	"github.com/go-fusermount/fusermount/internal/fusedev"
	"github.com/go-fusermount/fusermount/internal/mountopts"
	"github.com/go-fusermount/fusermount/internal/optwrite"
	"github.com/go-fusermount/fusermount/internal/wire"
)

// Method says what makes a system call for a mount or an unmount: this process, the mount
// service or a set-uid helper.
type Method int

const (
	// MethodAuto is MethodDirect in a process with CAP_SYS_ADMIN. Where the kernel does not let
	// it, and in every other process, it is MethodService where the service is there and can be
	// told all options, and else MethodHelper.
	MethodAuto Method = iota
	// MethodDirect never runs a helper to mount or unmount, and asks no service.
	MethodDirect
	// MethodHelper always runs a helper.
	MethodHelper
	// MethodService always asks the mount service (fusermountd), and runs no program. The service
	// listens at /run/fusermount/socket, or where $FUSERMOUNT_SOCKET says; a program that runs
	// with more rights than its caller does not look at the variable.
	MethodService
)

func (m Method) check() error {
	if m < MethodAuto || m > MethodService {
		return wrap("options: there is no such Method", unix.EINVAL)
	}
	return nil
}

// Options say what to mount and how. The zero value, as nil, is a mount of type fuse
// that is nosuid, nodev, writable, and accessible to its owner alone.
type Options struct {
	// FSName is the mount's source in the mount table: a host, a directory, a device. Any
	// text but NUL. When empty it is Subtype, else /dev/fuse.
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

	// AllowOther lets other users than the owner access the mount. A helper grants it to
	// users only where /etc/fuse.conf has the line user_allow_other.
	AllowOther bool
	// AllowRoot is AllowOther for the kernel. The file system has to refuse requests of
	// uids other than 0 and its owner's.
	AllowRoot bool
	// DefaultPermissions has the kernel check the modes of files.
	DefaultPermissions bool
	// MaxRead is the longest read in bytes that the kernel asks for at once; 0 leaves
	// it to the kernel, which raises small values to 4096.
	MaxRead uint32

	// Extra are further options. They win over the fields above.
	Extra []Option

	// Owner is the user who may access and unmount the mount, nil for the real ids of the
	// process. Only a direct mount can be another user's.
	Owner *Owner

	// AutoUnmount has the mount taken away when this process ends, however it ends. A
	// process of the helper stays for that, so a helper is needed, and it mounts, too; a
	// direct mount is only watched (fusermount3 --auto-unmount). The helper of libfuse
	// 3.14 does not know that, and of users' own mounts it takes away only those with
	// AllowOther.
	AutoUnmount bool

	// SyncInit, if not nil, is called once with the device, which it has to have served:
	// it starts the library's loop and returns. Where kernel (Linux 6.18) and helper can do
	// that, there is no mount yet, reads of the device block until there is one, and Mount
	// returns after FUSE_INIT was answered: an error of the daemon is an error of Mount.
	// Elsewhere SyncInit is called after the mount; [MountedInfo] tells which it was.
	//
	// If Mount fails after SyncInit, it takes the mount away, which ends the reads of the
	// device, calls stop, and closes the device when stop has returned. Mount waits two
	// seconds for that. stop waits for the loop; it may be nil.
	//
	// An error of SyncInit ends Mount; no read of the device may be under way then, since
	// only a mount would end it. For the same reason a mount is tried, and refused, when
	// the context ends while SyncInit runs. If SyncInit panics or calls runtime.Goexit,
	// Mount cleans up as after an error.
	SyncInit func(device *os.File) (stop func(), err error)

	// BeforeAttach, if not nil, is called with the mount's descriptor (O_PATH) before the
	// mount is at its mountpoint, for mount_setattr(2), and SyncInit before that. mount is
	// valid during the call. An error ends Mount. It takes a direct mount and the new mount
	// API (Linux 5.2).
	BeforeAttach func(mount *os.File) error

	// ReplaceStale takes away what a dead daemon has left at the mountpoint: FUSE mounts
	// that are the owner's and that [Daemons] calls dead.
	ReplaceStale bool

	// Helper is the helper to run, in place of the one that [FindHelper] finds. A bare
	// name is looked up in PATH; in a program that runs with more rights than its caller
	// has, only in the directories that FindHelper always knows.
	Helper string
	// Method keeps a process from mounting directly, or from running a helper.
	Method Method

	// Logger, if not nil, gets each run of a helper with its arguments and each fallback to
	// another way (level Debug), and each warning (level Warn). It also serves the methods
	// of the [Mounted].
	Logger *slog.Logger
}

// Option is a mount option, written Key or Key=Value where it has a value: nodiratime,
// blksize=512, context=....
//
// A direct mount gives the kernel what this package does not know, and warns of what it
// ignores (x-*, nonempty). A helper decides for itself; a Value for it has no comma and no
// backslash at its end, but for fsname and subtype. Neither Key nor Value has a NUL.
type Option struct {
	Key, Value string
	DirectOnly bool // left out when a helper mounts
}

// Owner is a user in this process's user namespace.
type Owner struct{ UID, GID uint32 }

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
	user   caller
	owner  Owner
	direct choices // for a direct mount
	helper choices // for a helper

	served  bool   // SyncInit was called, which is promised to happen once
	refused bool   // a callback failed, which is no fault of a helper
	stop    func() // of SyncInit; nil for none
}

// choices are the options of one way to mount.
type choices struct {
	mountopts.Options          // the fields, and what of Extra this package knows
	others            []Option // the rest of Extra
	ignored           []string // names of Extra that have no effect
}

func (o *Options) spec() (*spec, error) {
	if o == nil {
		o = &Options{}
	}
	s := &spec{Options: o, user: currentCaller()}
	s.owner = Owner{s.user.uid, s.user.gid}
	if o.Owner != nil {
		s.owner = *o.Owner
	}
	err := o.Method.check()
	if err == nil && (o.Method == MethodHelper || o.Method == MethodService) && s.directOnly() {
		err = invalid("Owner and BeforeAttach need a direct mount, and the Method forbids it")
	}
	if err == nil {
		s.direct, err = o.choices(true)
	}
	if err == nil {
		s.helper, err = o.choices(false)
	}
	if err == nil && o.Method == MethodService && !s.helper.serviceable() {
		err = invalid("the mount service cannot be told suid, dev, blkdev, x-*, unknown options and names of over 255 bytes")
	}
	return s, err
}

// directOnly reports whether a helper could not do what is asked for.
func (s *spec) directOnly() bool { return s.Owner != nil || s.BeforeAttach != nil }

func invalid(text string) error { return wrap("options: "+text, unix.EINVAL) }

func (o *Options) choices(direct bool) (c choices, err error) {
	c.Options = mountopts.Options{
		FSName: o.FSName, Subtype: o.Subtype, ReadOnly: o.ReadOnly, NoExec: o.NoExec,
		NoAtime: o.NoAtime, NoSymfollow: o.NoSymFollow, Sync: o.Sync, DirSync: o.DirSync,
		Suid: o.Suid, Dev: o.Dev, AllowOther: o.AllowOther, AllowRoot: o.AllowRoot, DefaultPermissions: o.DefaultPermissions,
		MaxRead:     mountopts.Number{Given: o.MaxRead != 0, Value: o.MaxRead},
		AutoUnmount: o.AutoUnmount,
	}
	if strings.IndexByte(o.FSName+o.Subtype, 0) >= 0 {
		return c, invalid("NUL in a name")
	}
	var lists []string
	for _, x := range o.Extra {
		if err := x.check(); err != nil {
			return c, err
		}
		if x.DirectOnly && !direct {
			continue
		}
		text := optwrite.Pair(x.Key, x.Value)
		var unknown *mountopts.UnknownError
		switch _, err := mountopts.Parse(text); {
		case errors.As(err, &unknown), strings.HasPrefix(x.Key, "x-"):
			c.others = append(c.others, x)
		case slices.Contains(mountopts.Ignored, x.Key), slices.Contains(mountopts.Obsolete, x.Key):
			c.ignored = append(c.ignored, x.Key)
		case strings.Contains(x.Value, ",") && x.Key != "fsname" && x.Key != "subtype": // it would be two options
			return c, invalid(strconv.Quote(text) + " is no option")
		default:
			lists = append(lists, text)
		}
	}
	if len(lists) > 0 {
		lists = append([]string{optwrite.List(c.Options)}, lists...)
		if c.Options, err = mountopts.Parse(lists...); err != nil {
			return c, wrap("options: "+err.Error(), err, unix.EINVAL)
		}
	}
	c.AllowOther = c.AllowOther || c.AllowRoot
	c.AllowRoot = false
	return c, nil
}

func (x Option) check() error {
	switch {
	case x.Key == "" || strings.ContainsAny(x.Key, ",=\\\x00") || strings.IndexByte(x.Value, 0) >= 0:
		return invalid(strconv.Quote(optwrite.Pair(x.Key, x.Value)) + " is no option")
	case slices.Contains([]string{"fd", "rootmode", "user_id", "group_id"}, x.Key):
		return invalid(x.Key + " is not for Extra; see Owner")
	}
	return nil
}

// arguments are the command line by which a helper mounts. It gets all options in one
// list, since libfuse's takes only the last of several.
func (s *spec) arguments(mountpoint string, flags ...string) ([]string, error) {
	list := append([]string{}, s.helper.ignored...)
	if typed := optwrite.List(s.helper.Options); typed != "" {
		list = append(list, typed)
	}
	for _, x := range s.helper.others {
		if strings.Contains(x.Value, ",") || strings.HasSuffix(x.Value, `\`) {
			return nil, invalid("the value of " + x.Key + " cannot be given to a helper: it has a comma, or a backslash at its end")
		}
		list = append(list, optwrite.Pair(x.Key, x.Value))
	}
	if len(list) > 0 {
		flags = append(flags, "-o", strings.Join(list, ","))
	}
	return append(flags, "--", mountpoint), nil
}

// serviceable reports whether the mount service can be told these options. What has no effect may be
// left out.
func (c *choices) serviceable() bool {
	return !c.Suid && !c.Dev && !c.BlkDev && len(c.others) == 0 && max(len(c.FSName), len(c.Subtype)) <= wire.MaxName
}

// source is the mount's source in the mount table.
func (c *choices) source() string {
	switch {
	case c.FSName != "":
		return c.FSName
	case c.Subtype != "":
		return c.Subtype
	}
	return fusedev.Path
}

// params are what a direct mount tells the kernel.
func (s *spec) params() fsparam.Params {
	o := &s.direct
	return fsparam.Params{
		BlockDevice: o.BlkDev, Subtype: o.Subtype, Source: o.source(),
		ReadOnly: o.ReadOnly, Sync: o.Sync, DirSync: o.DirSync,
		NoSuid: !o.Suid, NoDev: !o.Dev, NoExec: o.NoExec,
		NoAtime: o.NoAtime, NoDirAtime: o.NoDirAtime, NoSymfollow: o.NoSymfollow,
		UserID: s.owner.UID, GroupID: s.owner.GID,
		AllowOther: o.AllowOther, DefaultPermissions: o.DefaultPermissions,
		MaxRead: o.MaxRead, BlkSize: o.BlkSize,
	}
}

// request is what a direct mount asks of the kernel. The warnings name the options that
// were given and have no effect.
func (s *spec) request(path string, onFUSE bool) (r directmount.Request, warnings []string) {
	r = directmount.Request{
		Path: path, OnFUSE: onFUSE, Params: s.params(),
		WantSyncInit: s.SyncInit != nil, Detached: s.BeforeAttach != nil,
	}
	ignored := slices.Clone(s.direct.ignored)
	for _, x := range s.direct.others {
		if strings.HasPrefix(x.Key, "x-") {
			ignored = append(ignored, x.Key)
		} else {
			r.Others = append(r.Others, fsparam.Pair{Key: x.Key, Value: x.Value})
		}
	}
	for _, key := range ignored {
		warnings = append(warnings, "option '"+key+"' has no effect")
	}
	return r, warnings
}

// unmountOptions are those of the mount that was made by these options.
func (s *spec) unmountOptions(policy UnmountPolicy) UnmountOptions {
	return UnmountOptions{Policy: policy, Helper: s.Helper, Method: s.Method, Logger: s.Logger}
}
