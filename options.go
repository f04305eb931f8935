package fusermount

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusedev"
	"github.com/go-fusermount/fusermount/internal/mountopts"
)

// Options say what to mount and how. The zero value, as nil, is a mount of type
// fuse that is nosuid, nodev, writable, and entered by its owner alone.
type Options struct {
	// FSName is the mount's source, as mount(8) lists it: a host, a directory,
	// a device. Any text but NUL; commas and backslashes need no escaping. When
	// empty it is Subtype, else /dev/fuse.
	FSName string
	// Subtype is the S of the type fuse.S: the file system's name.
	Subtype string

	ReadOnly    bool // ro
	NoExec      bool // noexec
	NoAtime     bool // noatime
	NoSymFollow bool // nosymfollow; libfuse 3.14 has a helper that does not know it
	Sync        bool // sync
	DirSync     bool // dirsync

	// Suid and Dev take off nosuid and nodev. Only root may; for others a
	// helper ignores them, and warns. When Mount succeeds, such a warning reaches
	// Stderr only.
	Suid, Dev bool

	// AllowOther lets other users than the owner enter the mount. Where a
	// helper mounts, a caller who is not root needs the line user_allow_other in
	// /etc/fuse.conf; that is looked up before anything else is done.
	AllowOther bool
	// AllowRoot is meant for the owner and root. The kernel does not know it:
	// here it is AllowOther, and the file system has to refuse requests of uids
	// other than 0 and its owner's.
	AllowRoot bool
	// DefaultPermissions has the kernel check files' modes.
	DefaultPermissions bool
	// MaxRead is the longest read in bytes that the kernel asks for at once; 0
	// leaves it to the kernel, which raises small values to 4096.
	MaxRead uint32

	// Extra are further options, each as it stands after an -o of its own:
	// "nodiratime", "ro,blksize=512". They come last, so they win. A helper gets
	// also those that this package does not know, which may not end in a lone
	// backslash; a direct mount refuses them.
	Extra []string

	// AutoUnmount has the mount taken away when this process ends without
	// having unmounted, however it ends. A process of the helper stays for that,
	// so a helper is needed, and it mounts, too; with ForceDirect it is run
	// after the mount only to watch (fusermount3 --auto-unmount). The helper of
	// libfuse 3.14 does not know that, and of users' own mounts it takes away only
	// those with AllowOther.
	AutoUnmount bool

	// SyncInit, if not nil, is called once with the device, and has to have
	// somebody serve it: it starts the library's goroutines and returns. Then
	// the kernel asks the daemon its first question (FUSE_INIT) while the mount
	// is being made, and an error of the daemon's is an error of Mount.
	//
	// Where kernel (Linux 6.18) and helper can do that, SyncInit is called
	// before there is a mount, reads of the device wait until there is one, and
	// Mount returns after INIT was answered. Otherwise SyncInit is called when
	// the mount is attached. So the same code serves both, and
	// [Mounted.SyncInit] tells what happened.
	//
	// An error that it returns ends Mount, and nothing is mounted; it must not
	// have anybody read the device then, since only a mount would end that
	// read. For the same reason a mount is tried even if the context has ended
	// when SyncInit returns, and is refused. Only a helper that ends in between,
	// as one that is killed, leaves whoever reads before there is a mount to wait
	// for good, in a thread of its own. The device stays the Mounted's, and is
	// closed if Mount fails.
	SyncInit func(device *os.File) error

	// ReplaceStale takes away what a dead daemon has left at the mountpoint:
	// FUSE mounts that are the caller's and that [Daemons] calls dead.
	ReplaceStale bool

	// Helper is the helper to run, in place of the one that [FindHelper] finds. A
	// bare name is looked up in PATH; in a program that runs with more rights than
	// its caller has, only in the directories that FindHelper always knows.
	Helper string
	// ForceHelper keeps a process that may mount from doing it by itself.
	// ForceDirect keeps any other from running a helper. At most one may be set.
	ForceHelper, ForceDirect bool

	// Stderr, if not nil, gets what a helper of Mount writes until it has sent the
	// device, all of it before Mount returns. It must not block, and is not written to
	// any more when Mount has returned, but by the Unmount or Close that ends a helper
	// which stayed for AutoUnmount. What a helper says that unmounts is in the error.
	Stderr io.Writer
}

// request is what Options come to.
type request struct {
	*Options
	typed mountopts.Options
	// unknown are the extra options that only a helper may know.
	unknown []string
}

func (o *Options) resolve() (*request, error) {
	if o == nil {
		o = &Options{}
	}
	if o.ForceHelper && o.ForceDirect {
		return nil, because("options: ForceHelper and ForceDirect exclude each other", unix.EINVAL)
	}
	r := &request{Options: o, typed: o.list()}
	if err := r.parseExtra(); err != nil {
		return nil, err
	}
	text := r.typed.FSName + r.typed.Subtype + strings.Join(append(r.unknown, r.typed.Userspace...), "")
	if strings.IndexByte(text, 0) >= 0 {
		return nil, because("options: NUL in a name", unix.EINVAL)
	}
	r.typed.AllowOther = r.typed.AllowOther || r.typed.AllowRoot
	r.typed.AllowRoot = false
	return r, nil
}

// parseExtra adds the extra options to the typed ones, of which later ones win.
func (r *request) parseExtra() error {
	if len(r.Extra) == 0 {
		return nil
	}
	lists := []string{r.typed.String()} // one for each, so that none reaches into the next
	for _, extra := range r.Extra {
		if _, err := mountopts.Parse(extra); unknown(err) {
			r.unknown = append(r.unknown, extra)
		} else {
			lists = append(lists, extra)
		}
	}
	var err error
	if r.typed, err = mountopts.Parse(lists...); err != nil {
		return because("options: "+err.Error(), err, unix.EINVAL)
	}
	// A helper gets all in one list: libfuse's takes only the last of several.
	for _, text := range slices.Concat(r.typed.Userspace, r.unknown) {
		if joins(text) {
			return because("options: '"+text+"' ends in a backslash, which would join it to the next", unix.EINVAL)
		}
	}
	return nil
}

// joins says whether a text ends in a backslash that is not escaped itself: in a
// list it would take the comma behind it for a letter.
func joins(text string) bool {
	return (len(text)-len(strings.TrimRight(text, `\`)))%2 != 0
}

func unknown(err error) bool {
	var u *mountopts.UnknownError
	return errors.As(err, &u)
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

// arguments is the command line by which a helper mounts.
func (r *request) arguments(mountpoint string, flags ...string) []string {
	var list []string
	if typed := r.typed.String(); typed != "" {
		list = append(list, typed)
	}
	list = append(list, r.unknown...)
	if len(list) > 0 {
		flags = append(flags, "-o", strings.Join(list, ","))
	}
	return append(flags, "--", mountpoint)
}

// source is what the mount table is to name.
func (r *request) source() string {
	switch {
	case r.typed.FSName != "":
		return r.typed.FSName
	case r.typed.Subtype != "":
		return r.typed.Subtype
	}
	return fusedev.Path
}

// fsType is the type in the mount table.
func (r *request) fsType() string {
	t := "fuse"
	if r.typed.BlkDev {
		t = "fuseblk"
	}
	if r.typed.Subtype != "" {
		t += "." + r.typed.Subtype
	}
	return t
}
