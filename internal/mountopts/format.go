package mountopts

import (
	"strconv"
	"strings"
)

// String writes o as an option list that Parse reads back to the same
// options, and that libfuse's helper reads in the same way.
func (o Options) String() string {
	var out []string
	for _, f := range []struct {
		on   bool
		name string
	}{
		{o.ReadOnly, "ro"},
		{o.Suid, "suid"},
		{o.Dev, "dev"},
		{o.NoExec, "noexec"},
		{o.Sync, "sync"},
		{o.DirSync, "dirsync"},
		{o.NoAtime, "noatime"},
		{o.NoDirAtime, "nodiratime"},
		{o.NoSymfollow, "nosymfollow"},
		{o.BlkDev, "blkdev"},
		{o.AllowOther, "allow_other"},
		{o.AllowRoot, "allow_root"},
		{o.DefaultPermissions, "default_permissions"},
		{o.AutoUnmount, "auto_unmount"},
	} {
		if f.on {
			out = append(out, f.name)
		}
	}
	if o.FSName != "" {
		out = append(out, "fsname="+Escape(o.FSName))
	}
	if o.Subtype != "" {
		out = append(out, "subtype="+Escape(o.Subtype))
	}
	if o.MaxRead.Given {
		out = append(out, "max_read="+strconv.FormatUint(uint64(o.MaxRead.Value), 10))
	}
	if o.BlkSize.Given {
		out = append(out, "blksize="+strconv.FormatUint(uint64(o.BlkSize.Value), 10))
	}
	out = append(out, o.Userspace...)
	out = append(out, o.Obsolete...)
	return strings.Join(out, ",")
}

// Escape writes a value of fsname= or subtype= so that commas and backslashes
// in it are taken literally.
func Escape(value string) string {
	return strings.NewReplacer(`\`, `\\`, `,`, `\,`).Replace(value)
}
