// Package mountopts turns the text of a mount option list (what stands after
// -o) into typed options, and typed options into text.
//
// Both ends use it: the helper parses what a stranger wrote, the client
// package writes what the helper will read. It is pure: no system calls, no
// files, no environment.
package mountopts

// Options is a parsed option list. The zero value is what an empty list means.
type Options struct {
	ReadOnly    bool // ro
	Suid        bool // suid: asked for, not yet granted
	Dev         bool // dev: asked for, not yet granted
	NoExec      bool // noexec
	Sync        bool // sync
	DirSync     bool // dirsync
	NoAtime     bool // noatime
	NoDirAtime  bool // nodiratime
	NoSymfollow bool // nosymfollow

	// FSName is the mount's source, unescaped. Empty means not given.
	FSName string
	// Subtype is the S of the type fuse.S, unescaped. Empty means not given.
	Subtype string

	BlkDev             bool // blkdev: the file system lives on a block device
	AllowOther         bool // allow_other
	AllowRoot          bool // allow_root
	DefaultPermissions bool // default_permissions
	AutoUnmount        bool // auto_unmount

	MaxRead Number // max_read, in bytes
	BlkSize Number // blksize, in bytes

	// Userspace holds the x-* options as they were given, in order. They
	// never reach the kernel.
	Userspace []string
	// Obsolete holds options that are accepted and mean nothing any more.
	Obsolete []string
}

// Number is an optional decimal value.
type Number struct {
	Given bool
	Value uint32
}

// flag is an option without a value, value one of the form NAME=VALUE. They
// stand in slices, and not in maps, since a map is built at each start.
type flag struct {
	name string
	set  func(*Options)
}

type value struct {
	name string
	set  func(o *Options, v string) error
}

// flags are the options without a value. The helper's own words are few on
// purpose: what is not here, or in values, is unknown and refused.
var flags = []flag{
	{"ro", func(o *Options) { o.ReadOnly = true }},
	{"rw", func(o *Options) { o.ReadOnly = false }},
	{"suid", func(o *Options) { o.Suid = true }},
	{"nosuid", func(o *Options) { o.Suid = false }},
	{"dev", func(o *Options) { o.Dev = true }},
	{"nodev", func(o *Options) { o.Dev = false }},
	{"exec", func(o *Options) { o.NoExec = false }},
	{"noexec", func(o *Options) { o.NoExec = true }},
	{"async", func(o *Options) { o.Sync = false }},
	{"sync", func(o *Options) { o.Sync = true }},
	{"dirsync", func(o *Options) { o.DirSync = true }},
	{"atime", func(o *Options) { o.NoAtime = false }},
	{"noatime", func(o *Options) { o.NoAtime = true }},
	{"nodiratime", func(o *Options) { o.NoDirAtime = true }},
	{"symfollow", func(o *Options) { o.NoSymfollow = false }},
	{"nosymfollow", func(o *Options) { o.NoSymfollow = true }},
	{"norelatime", func(*Options) {}},    // the kernel's default is relatime
	{"nostrictatime", func(*Options) {}}, // whatever one takes off

	{"blkdev", func(o *Options) { o.BlkDev = true }},
	{"allow_other", func(o *Options) { o.AllowOther = true }},
	{"allow_root", func(o *Options) { o.AllowRoot = true }},
	{"default_permissions", func(o *Options) { o.DefaultPermissions = true }},
	{"auto_unmount", func(o *Options) { o.AutoUnmount = true }},
	{"nonempty", func(*Options) {}}, // mounting over a full directory is allowed anyway
	{"large_read", func(o *Options) { o.Obsolete = append(o.Obsolete, "large_read") }},
}

// values are the options of the form NAME=VALUE.
var values = []value{
	{"fsname", func(o *Options, v string) error { return setName(&o.FSName, v) }},
	{"subtype", func(o *Options, v string) error { return setName(&o.Subtype, v) }},
	{"max_read", func(o *Options, v string) error { return setNumber(&o.MaxRead, v) }},
	{"blksize", func(o *Options, v string) error { return setNumber(&o.BlkSize, v) }},

	// The helper sets these four itself. Callers that pass them on are
	// tolerated, and never believed.
	{"fd", drop},
	{"rootmode", drop},
	{"user_id", drop},
	{"group_id", drop},
}

func drop(*Options, string) error { return nil }

// Names are the options that Parse knows, those with a value with = at the end;
// x-* is not among them. Documents and completions are compared with it.
func Names() (names []string) {
	for _, f := range flags {
		names = append(names, f.name)
	}
	for _, v := range values {
		names = append(names, v.name+"=")
	}
	return names
}
