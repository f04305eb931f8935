// Package mountopts converts the text of a mount option list (after -o) into typed
// options. It is pure. Package optwrite writes them.
package mountopts

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// IsFuse says whether a mount of this type is FUSE: fuse, fuseblk, or one of them with a subtype.
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

// UnknownError names an option that the helper does not know.
type UnknownError struct{ Option string }

func (e *UnknownError) Error() string { return "unknown option '" + e.Option + "'" }

// ValueError names an option whose value cannot be used.
type ValueError struct {
	Option string // the whole element, as given
	Cause  error
}

func (e *ValueError) Error() string { return "invalid option '" + e.Option + "': " + e.Cause.Error() }

func (e *ValueError) Unwrap() error { return e.Cause }

var (
	errEmptyValue = errors.New("it needs a value")
	errNotDecimal = errors.New("the value must be a decimal number up to 4294967295")
)

// Parse reads comma-separated option lists, one after the other: each ends where it ends,
// also after a backslash. Of contradicting options the last wins; empty elements are
// skipped. The error is an *UnknownError or a *ValueError.
func Parse(lists ...string) (Options, error) {
	var o Options
	for _, rest := range lists {
		for rest != "" {
			var e element
			e, rest = next(rest)
			if err := o.apply(e); err != nil {
				return Options{}, err
			}
		}
	}
	return o, nil
}

// element is one option as it stood in the list, and its parts.
type element struct {
	raw      string // as given
	name     string
	value    string // unescaped where the option knows escapes
	hasValue bool
}

func (o *Options) apply(e element) (err error) {
	found := false
	switch {
	case e.raw == "":
		return nil
	case strings.HasPrefix(e.raw, "x-"):
		o.Userspace = append(o.Userspace, e.raw)
		return nil
	case e.hasValue:
		for _, v := range Values {
			if v.Name != e.name {
				continue
			}
			found = true
			switch {
			case v.Text != nil && e.value == "":
				err = errEmptyValue
			case v.Text != nil:
				*v.Text(o) = e.value
			case v.Number != nil:
				*v.Number(o), err = parseNumber(e.value)
			}
		}
	case slices.Contains(Obsolete, e.name):
		o.Obsolete = append(o.Obsolete, e.name)
		return nil
	default:
		found = slices.Contains(Ignored, e.name)
		for _, f := range Flags {
			if f.On == e.name || f.Off == e.name {
				found, *f.Field(o) = true, f.On == e.name
			}
		}
	}
	switch {
	case err != nil:
		return &ValueError{Option: e.raw, Cause: err}
	case !found:
		return &UnknownError{Option: e.raw}
	}
	return nil
}

// next splits the first element off list. Only fsname= and subtype= know escapes:
// everywhere else a comma always separates, so that an escaped comma can never carry an
// option past the check (CVE-2018-10906).
func next(list string) (e element, rest string) {
	end := strings.IndexByte(list, ',')
	if end < 0 {
		end = len(list)
	}
	e.name, e.value, e.hasValue = strings.Cut(list[:end], "=")
	if e.hasValue && (e.name == "fsname" || e.name == "subtype") {
		start, used := len(e.name)+1, 0
		e.value, used = unescape(list[start:])
		end = start + used
	}
	e.raw = list[:end]
	return e, list[min(end+1, len(list)):] // without the comma
}

// unescape reads s up to the first comma that no backslash makes literal, and says how
// many bytes that took. A backslash at the very end stands for itself.
func unescape(s string) (value string, used int) {
	var b strings.Builder
	for used < len(s) && s[used] != ',' {
		if s[used] == '\\' && used+1 < len(s) {
			used++
		}
		b.WriteByte(s[used])
		used++
	}
	return b.String(), used
}

// parseNumber takes decimal digits only: the kernel would read a leading 0 as octal.
func parseNumber(v string) (Number, error) {
	if v == "" {
		return Number{}, errEmptyValue
	}
	n, err := strconv.ParseUint(v, 10, 32) // takes no sign
	if err != nil {
		return Number{}, errNotDecimal
	}
	return Number{Given: true, Value: uint32(n)}, nil
}
