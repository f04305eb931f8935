package diagnose

import (
	"cmp"

	"github.com/go-fusermount/fusermount/internal/fuseconf"
)

// Facts is what is judged, as it was found out with the rights of the caller.
type Facts struct {
	UID     uint32
	Device  Device
	Program Program
	Service Service
	Process Process
	System  System
	Conf    Conf

	Mounts        []Mount
	MountsUnknown string // why the table cannot be read; empty: it can
	Fusectl       bool   // the control files are mounted

	Place *Place // nil where no path was given
}

// Problem is an error in the words of mounting, and what to do about it.
type Problem struct{ Text, Next string }

// Device is the fuse device, and the module behind it.
type Device struct {
	Path    string
	Problem *Problem // nil: it opens
	Absent  bool     // the problem is that it, or its driver, is not there
	Wrong   *Problem // it is not the fuse device
	// Known says that the kernel lists the file system type; KnownErr is why that
	// cannot be told.
	Known    bool
	KnownErr string
	// Module is the file of a module that is not loaded, empty where none was found;
	// Locked says that this kernel loads no modules any more.
	Module string
	Locked bool
}

// Program is the installed helper.
type Program struct {
	Path       string
	Problem    *Problem // none was found, or it cannot be examined
	Owner      uint32
	Setuid     bool
	Capability bool   // CAP_SYS_ADMIN as a file capability
	NoSuid     bool   // of the mount that it lies on
	Under      string // the mountpoint of that mount, where NoSuid is set; empty where it is not known
}

// Service is the mount service, which mounts where programs get no rights.
type Service struct {
	Path    string
	Answers bool
	Absent  bool   // there is no socket
	Error   string // why it does not answer
}

// Process is what holds for this process, and so for a helper that it would start.
type Process struct {
	Admin      bool // has CAP_SYS_ADMIN
	Bounded    bool // the bounding set lacks CAP_SYS_ADMIN
	NoNewPrivs bool
	Tracer     Holder // process that traces this one; PID 0: none
	Filters    int    // seccomp filters
	Tasks      Tasks
	Profile    string // of AppArmor, empty for none
	Mode       string // of the profile: enforce, complain ...
	Unknown    string // why Tracer and Filters are not known; empty: they are
}

// Tasks is how many more processes and threads may run, apart from those of this program. Limit is
// what limits them; it is empty where nothing known does.
type Tasks struct {
	Left  int
	Limit string
}

// System is what surrounds the process.
type System struct {
	Release     string // of the kernel
	InitialUser bool   // the user namespace is the first one, or not known
	Unknown     string // why it is not known; empty: it is
	IDs         string // uid_map of another one
	OuterMounts bool   // the mount namespace belongs to an outer user namespace
	Container   string // what indicates one; empty: nothing does

	NewMount, Statmount, SyncInit Feature
}

// Feature is whether a feature of the kernel is available.
type Feature int

// The states of a feature.
const (
	Absent Feature = iota
	Present
	Forbidden // something refuses it
	Unasked   // nothing could be asked
)

// Conf is /etc/fuse.conf.
type Conf struct {
	Absent   bool
	Problem  *Problem // it is not used, and the defaults hold
	Fatal    bool     // no mount is possible while it is so
	Allows   bool     // it is not used, and has user_allow_other
	Lines    []ConfLine
	Settings fuseconf.Settings
}

// ConfLine is one line of it that is not empty.
type ConfLine struct {
	Number        int
	Text, Comment string
	Warnings      []string
}

// Place is the path that was given.
type Place struct {
	Path    string // where it leads
	Link    string // the path as it was given, if it is a link
	Problem *Problem
	Through *Mount // the path leads into this mount, whose daemon would have to be asked
	Mounted *Mount // the FUSE mount on the path
	Kind    string // directory or file
	FSName  string // of the file system that it lies on
}

// Holder is a process, or something else that has a PID of 0.
type Holder struct {
	PID  int
	Name string
}

func (d Device) loadable() bool { return d.Absent && !d.Known && d.Module != "" && !d.Locked }

func (s System) release() string { return cmp.Or(s.Release, "of unknown version") }
