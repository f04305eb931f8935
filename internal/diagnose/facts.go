package diagnose

import (
	"github.com/go-fusermount/fusermount/internal/fuseconf"
)

// Facts is what --check judges: all of it was found out as the caller, after
// every privilege had been given up.
type Facts struct {
	UID     uint32
	Device  Device
	Program Program
	Around  Around
	Conf    Conf

	Mounts  []Mount
	Fusectl bool
	Count   int // FUSE file systems in this namespace

	Place *Place // nil where no mountpoint was named
}

// Problem is an error in the words that mounting has for it, and its hint.
type Problem struct{ Text, Next string }

// Device is the fuse device, and the module behind it.
type Device struct {
	Path    string
	Problem *Problem // nil: it opens
	Absent  bool     // the problem is that it, or its driver, is not there
	Wrong   bool     // it opens, and is something else
	Known   bool     // the kernel lists the file system type
	// Module is the file of a module that is not loaded, empty where none was
	// found; Locked says that this kernel loads no modules any more.
	Module string
	Locked bool
}

// Program is this program's own file, and what it got from it.
type Program struct {
	Path       string // empty where the file cannot be examined
	Owner      uint32
	Setuid     bool
	Capability bool   // cap_sys_admin of the file
	NoSuid     bool   // of the mount that it lies on
	Under      string // the mountpoint of that mount, where NoSuid is set; empty where it is not known
	NoNewPrivs bool   // as it was at the start

	Privileged bool   // CAP_SYS_ADMIN was there at the start
	Missing    string // why it was not, in the words of mounting
}

// Around is what surrounds the process.
type Around struct {
	Release     string // of the kernel
	InitialUser bool   // the user namespace is the first one
	IDs         string // uid_map otherwise
	OuterMounts bool   // the mount namespace belongs to an outer user namespace
	Container   string // what says so; empty: nothing does
	Filters     int    // seccomp filters that were there before our own
	Profile     string // of AppArmor, empty for none
	Mode        string // of the profile: enforce, complain …

	NewMount, Statmount, SyncInit Feature
}

// Feature is whether something of the kernel can be had.
type Feature int

// The states of a feature.
const (
	Absent Feature = iota
	Present
	Forbidden // something refuses it
	Unasked   // there was nothing by which to ask
)

// Conf is /etc/fuse.conf.
type Conf struct {
	Absent   bool
	Problem  *Problem // it is not used, and the defaults count
	Fatal    bool     // nobody can mount while it is so
	Allows   bool     // it is not used, and has user_allow_other
	Lines    []fuseconf.Line
	Settings fuseconf.Settings
}

// Place is the mountpoint that was named.
type Place struct {
	Path    string
	Problem *Problem // it cannot be reached, or not be mounted over
	Through *Mount   // the way to it leads into this mount, where a daemon would have to be asked
	Mounted *Mount   // what is mounted on it already, if it is FUSE
	Kind    string   // directory or file
	FSName  string   // of the file system that it lies on
}
