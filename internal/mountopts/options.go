// Package mountopts converts the text of a mount option list (after -o) into typed
// options. It is pure. Package optwrite writes them.
package mountopts

import "strings"

// IsFuse says whether a mount of this type is FUSE: fuse, fuseblk, or one of them with a
// subtype.
func IsFuse(fstype string) bool {
	base, _, _ := strings.Cut(fstype, ".")
	return base == "fuse" || base == "fuseblk"
}

// Options is a parsed option list. The zero value is an empty list.
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

	FSName  string // the mount's source, unescaped; empty: not given
	Subtype string // the S of the type fuse.S, unescaped; empty: not given

	BlkDev             bool // blkdev: the file system lies on a block device
	AllowOther         bool // allow_other
	AllowRoot          bool // allow_root
	DefaultPermissions bool // default_permissions
	AutoUnmount        bool // auto_unmount

	MaxRead Number // max_read, in bytes
	BlkSize Number // blksize, in bytes

	Userspace []string // the x-* options as given; they never reach the kernel
	Obsolete  []string // accepted without a meaning
}

// Number is an optional decimal value.
type Number struct {
	Given bool
	Value uint32
}

// The tables are slices: a map is built at each start. What is in none of them is unknown
// and refused.

// Flags are the options without a value. Off resets what On sets.
var Flags = []struct {
	On, Off string
	Field   func(*Options) *bool
}{
	{"ro", "rw", func(o *Options) *bool { return &o.ReadOnly }},
	{"suid", "nosuid", func(o *Options) *bool { return &o.Suid }},
	{"dev", "nodev", func(o *Options) *bool { return &o.Dev }},
	{"noexec", "exec", func(o *Options) *bool { return &o.NoExec }},
	{"sync", "async", func(o *Options) *bool { return &o.Sync }},
	{"dirsync", "", func(o *Options) *bool { return &o.DirSync }},
	{"noatime", "atime", func(o *Options) *bool { return &o.NoAtime }},
	{"nodiratime", "", func(o *Options) *bool { return &o.NoDirAtime }},
	{"nosymfollow", "symfollow", func(o *Options) *bool { return &o.NoSymfollow }},
	{"blkdev", "", func(o *Options) *bool { return &o.BlkDev }},
	{"allow_other", "", func(o *Options) *bool { return &o.AllowOther }},
	{"allow_root", "", func(o *Options) *bool { return &o.AllowRoot }},
	{"default_permissions", "", func(o *Options) *bool { return &o.DefaultPermissions }},
	{"auto_unmount", "", func(o *Options) *bool { return &o.AutoUnmount }},
}

// Ignored are options that change nothing: norelatime and nostrictatime would reset what
// nothing here sets, and mounting over a directory that is not empty is allowed anyway.
var Ignored = []string{"norelatime", "nostrictatime", "nonempty"}

// Obsolete are options that once had a meaning.
var Obsolete = []string{"large_read"}

// Values are the options of the form NAME=VALUE. Those without a field are set by the
// helper itself, whatever value is given.
var Values = []struct {
	Name   string
	Text   func(*Options) *string
	Number func(*Options) *Number
}{
	{"fsname", func(o *Options) *string { return &o.FSName }, nil},
	{"subtype", func(o *Options) *string { return &o.Subtype }, nil},
	{"max_read", nil, func(o *Options) *Number { return &o.MaxRead }},
	{"blksize", nil, func(o *Options) *Number { return &o.BlkSize }},
	{"fd", nil, nil},
	{"rootmode", nil, nil},
	{"user_id", nil, nil},
	{"group_id", nil, nil},
}
