// Package optwrite writes mount options as the helper reads them, from the table of package
// mountopts. It is pure.
package optwrite

import (
	"strconv"
	"strings"

	"github.com/go-fusermount/fusermount/internal/mountopts"
)

// Names are the options that mountopts.Parse knows, those with a value with = at the end; x-* is
// not among them. Documents and completions are compared with it.
func Names() (names []string) {
	for _, f := range mountopts.Flags {
		names = append(names, f.On)
		if f.Off != "" {
			names = append(names, f.Off)
		}
	}
	names = append(append(names, mountopts.Ignored...), mountopts.Obsolete...)
	for _, v := range mountopts.Values {
		names = append(names, v.Name+"=")
	}
	return names
}

// List writes o as an option list that mountopts.Parse reads back to the same options, as
// libfuse's helper does.
func List(o mountopts.Options) string {
	var out []string
	for _, f := range mountopts.Flags {
		if *f.Field(&o) {
			out = append(out, f.On)
		}
	}
	for _, v := range mountopts.Values {
		if v.Text != nil && *v.Text(&o) != "" {
			out = append(out, Pair(v.Name, *v.Text(&o)))
		}
		if v.Number != nil && v.Number(&o).Given {
			out = append(out, v.Name+"="+strconv.FormatUint(uint64(v.Number(&o).Value), 10))
		}
	}
	out = append(out, o.Userspace...)
	out = append(out, o.Obsolete...)
	return strings.Join(out, ",")
}

// Pair writes an option with a value, or without one if that is empty. Only in the values of
// fsname and subtype a comma or backslash can be made literal.
func Pair(name, value string) string {
	switch {
	case value == "":
		return name
	case name == "fsname" || name == "subtype":
		value = strings.ReplaceAll(strings.ReplaceAll(value, `\`, `\\`), `,`, `\,`)
	}
	return name + "=" + value
}
