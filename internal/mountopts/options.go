// Package mountopts converts the text of a mount option list (after -o) into typed
// options, and back: the helper parses what a stranger wrote, the client package writes
// what the helper reads. It is pure.
package mountopts

import (
	"strconv"
	"strings"
)

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

// flags are the options without a value. off resets what on sets.
var flags = []struct {
	on, off string
	field   func(*Options) *bool
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

// ignored are options that change nothing: norelatime and nostrictatime would reset what
// nothing here sets, and mounting over a directory that is not empty is allowed anyway.
var ignored = []string{"norelatime", "nostrictatime", "nonempty"}

var obsolete = []string{"large_read"}

// values are the options of the form NAME=VALUE. Those without a field are set by the
// helper itself, whatever value is given.
var values = []struct {
	name   string
	text   func(*Options) *string
	number func(*Options) *Number
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

// Names are the options that Parse knows, those with a value with = at the end; x-* is
// not among them. Documents and completions are compared with it.
func Names() (names []string) {
	for _, f := range flags {
		names = append(names, f.on)
		if f.off != "" {
			names = append(names, f.off)
		}
	}
	names = append(append(names, ignored...), obsolete...)
	for _, v := range values {
		names = append(names, v.name+"=")
	}
	return names
}

// String writes o as an option list that Parse reads back to the same options, as
// libfuse's helper does.
func (o Options) String() string {
	var out []string
	for _, f := range flags {
		if *f.field(&o) {
			out = append(out, f.on)
		}
	}
	for _, v := range values {
		if v.text != nil && *v.text(&o) != "" {
			out = append(out, v.name+"="+Escape(*v.text(&o)))
		}
		if v.number != nil && v.number(&o).Given {
			out = append(out, v.name+"="+strconv.FormatUint(uint64(v.number(&o).Value), 10))
		}
	}
	out = append(out, o.Userspace...)
	out = append(out, o.Obsolete...)
	return strings.Join(out, ",")
}

// Escape writes a value of fsname= or subtype= so that commas and backslashes in it are
// literal.
func Escape(value string) string {
	return strings.NewReplacer(`\`, `\\`, `,`, `\,`).Replace(value)
}
