// Package fsparam writes the parameters of a FUSE mount for fsconfig(2) and fsmount(2), and
// for mount(2). Every value is typed: no option text is passed on unparsed, so no value
// can contain a second one.
package fsparam

import (
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mountopts"
	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// Params are all that the kernel is told of a mount.
type Params struct {
	BlockDevice bool   // the type is fuseblk, else fuse
	Subtype     string // S of fuse.S; empty: none
	Source      string

	ReadOnly                                                bool // of the superblock and of the mount
	Sync, DirSync                                           bool // of the superblock
	NoSuid, NoDev, NoExec, NoAtime, NoDirAtime, NoSymfollow bool // of the mount

	UserID, GroupID uint32 // the daemon's, who may access the mount and unmount it
	RootMode        uint32 // the file type bits of the mountpoint

	AllowOther, DefaultPermissions bool
	MaxRead, BlkSize               mountopts.Number
}

// flag is a parameter without a value, and how each interface spells it.
type flag struct {
	on        bool
	word      string
	super     bool    // of the superblock: fsconfig takes the word
	data      bool    // mount(2) has it in its data, and mount(8) does not list it
	attribute int     // for fsmount
	flag      uintptr // for mount(2)
}

func (p *Params) flags() [11]flag {
	return [...]flag{
		{on: p.ReadOnly, word: "ro", super: true, attribute: unix.MOUNT_ATTR_RDONLY, flag: unix.MS_RDONLY},
		{on: p.NoSuid, word: "nosuid", attribute: unix.MOUNT_ATTR_NOSUID, flag: unix.MS_NOSUID},
		{on: p.NoDev, word: "nodev", attribute: unix.MOUNT_ATTR_NODEV, flag: unix.MS_NODEV},
		{on: p.NoExec, word: "noexec", attribute: unix.MOUNT_ATTR_NOEXEC, flag: unix.MS_NOEXEC},
		{on: p.NoAtime, word: "noatime", attribute: unix.MOUNT_ATTR_NOATIME, flag: unix.MS_NOATIME},
		{on: p.NoDirAtime, word: "nodiratime", attribute: unix.MOUNT_ATTR_NODIRATIME, flag: unix.MS_NODIRATIME},
		{on: p.NoSymfollow, word: "nosymfollow", attribute: unix.MOUNT_ATTR_NOSYMFOLLOW, flag: unix.MS_NOSYMFOLLOW},
		{on: p.Sync, word: "sync", super: true, flag: unix.MS_SYNCHRONOUS},
		{on: p.DirSync, word: "dirsync", super: true, flag: unix.MS_DIRSYNC},
		{on: p.AllowOther, word: "allow_other", super: true, data: true},
		{on: p.DefaultPermissions, word: "default_permissions", super: true, data: true},
	}
}

// Driver is the file system type without its subtype: fuse or fuseblk.
func (p *Params) Driver() string {
	if p.BlockDevice {
		return "fuseblk"
	}
	return "fuse"
}

// Type is the type in the mount table, with its subtype.
func (p *Params) Type() string {
	if p.Subtype == "" {
		return p.Driver()
	}
	return p.Driver() + "." + p.Subtype
}

// maxParameter is the longest string in bytes that fsconfig(2) takes.
const maxParameter = 255

// Fits says whether the strings are short enough for fsconfig(2). mount(2) takes a page.
func (p *Params) Fits() bool {
	return len(p.Source) <= maxParameter && len(p.Subtype) <= maxParameter
}

// Pair is a parameter with a value.
type Pair struct{ Key, Value string }

// Pairs are the parameters with a value for fsconfig(2). device is the number of the
// fuse device's descriptor in this process.
func (p *Params) Pairs(device int) []Pair {
	pairs := []Pair{{"source", p.Source}}
	if p.Subtype != "" {
		pairs = append(pairs, Pair{"subtype", p.Subtype})
	}
	return append(pairs, p.numbers(device)...)
}

// words are those of the flags that are on and wanted.
func (p *Params) words(wanted func(flag) bool) (words []string) {
	for _, f := range p.flags() {
		if f.on && wanted(f) {
			words = append(words, f.word)
		}
	}
	return words
}

// SuperFlags are the parameters without a value for fsconfig(2).
func (p *Params) SuperFlags() []string { return p.words(func(f flag) bool { return f.super }) }

// Configure sets all parameters on a context of fsopen(2).
func (p *Params) Configure(context, device int) error {
	for _, o := range p.Pairs(device) {
		if err := rawfile.RetryEINTR(func() error { return unix.FsconfigSetString(context, o.Key, o.Value) }); err != nil {
			return err
		}
	}
	for _, word := range p.SuperFlags() {
		if err := rawfile.RetryEINTR(func() error { return unix.FsconfigSetFlag(context, word) }); err != nil {
			return err
		}
	}
	return nil
}

// Attributes are the MOUNT_ATTR_* for fsmount(2).
func (p *Params) Attributes() (attributes int) {
	for _, f := range p.flags() {
		if f.on {
			attributes |= f.attribute
		}
	}
	return attributes
}

// Flags are the MS_* for mount(2).
func (p *Params) Flags() (flags uintptr) {
	for _, f := range p.flags() {
		if f.on {
			flags |= f.flag
		}
	}
	return flags
}

// Data is the data argument of mount(2). It holds numbers and fixed words only, so it
// is far shorter than the page at which the kernel would cut it.
func (p *Params) Data(device int) string {
	var words []string
	for _, o := range p.numbers(device) {
		words = append(words, o.Key+"="+o.Value)
	}
	words = append(words, p.words(func(f flag) bool { return f.data })...)
	return strings.Join(words, ",")
}

// Words are the flags as mount(8) writes them: rw or ro first.
func (p *Params) Words() []string {
	words := p.words(func(f flag) bool { return !f.data })
	if !p.ReadOnly {
		words = append([]string{"rw"}, words...)
	}
	return words
}

// numbers are the values that mount(2) has in its data, too. The descriptor goes as a
// number: FSCONFIG_SET_FD is refused before Linux 7.
func (p *Params) numbers(device int) []Pair {
	decimal := func(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
	pairs := []Pair{
		{"fd", strconv.Itoa(device)},
		{"rootmode", strconv.FormatUint(uint64(p.RootMode), 8)},
		{"user_id", decimal(p.UserID)},
		{"group_id", decimal(p.GroupID)},
	}
	if p.MaxRead.Given {
		pairs = append(pairs, Pair{"max_read", decimal(p.MaxRead.Value)})
	}
	if p.BlkSize.Given {
		pairs = append(pairs, Pair{"blksize", decimal(p.BlkSize.Value)})
	}
	return pairs
}

// Messages reads what the kernel says about a context, until it has no more to say.
// Each of its messages begins with a letter for its kind and a blank.
func Messages(context int) string {
	var lines []string
	buf := make([]byte, 1024)
	for len(lines) < 8 {
		n, err := unix.Read(context, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n <= 0 {
			break
		}
		line := strings.TrimSpace(string(buf[:n]))
		if len(line) > 2 && line[1] == ' ' {
			line = line[2:]
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "; ")
}
