package fuzzcmd

import (
	"slices"
	"strings"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// wanted are the properties of the mount that a call may make.
type wanted struct {
	has, hasNot  []string // options of the mount and the file system
	source, kind string   // kind is the type
	anyNames     bool     // any source and subtype
	allowOther   bool     // asked for
	auto         bool
	recorded     bool // x-* options are there to be recorded
	sure         bool // no option may be refused
	refused      bool // an option must be refused
}

// either sets one of two opposite options, as the last of them.
func (w *wanted) either(on, off string) {
	not := func(s string) bool { return s == on || s == off }
	w.has = append(slices.DeleteFunc(w.has, not), on)
	w.hasNot = append(slices.DeleteFunc(w.hasNot, not), off)
}

// missing returns what a mount lacks, empty if nothing.
func (w *wanted) missing(line fusetest.Line) string {
	for _, option := range w.has {
		if option != "" && !line.HasOption(option) {
			return "lacks " + option
		}
	}
	for _, option := range w.hasNot {
		if option != "" && line.HasOption(option) {
			return "has " + option
		}
	}
	switch {
	case line.HasOption("allow_other") && !w.allowOther:
		return "has allow_other"
	case !w.anyNames && (line.Source != w.source || line.FSType != w.kind):
		return "has other names"
	}
	return ""
}

// option is an element of a list, and its effect.
type option struct {
	text   string
	effect func(*wanted)
}

func flag(name, opposite string) option {
	return option{name, func(w *wanted) { w.either(name, opposite) }}
}

func unseen(name, opposite string) option { // an option that the absence of the other shows
	return option{name, func(w *wanted) {
		w.either("", opposite)
		w.has = slices.DeleteFunc(w.has, func(s string) bool { return s == opposite })
	}}
}

func nothing(text string) option { return option{text, func(*wanted) {}} }

func refused(text string) option { return option{text, func(w *wanted) { w.refused = true }} }

// plain are the options that everybody may give.
var plain = []option{
	flag("ro", "rw"), flag("rw", "ro"), flag("noexec", ""), unseen("exec", "noexec"), flag("sync", ""), unseen("async", "sync"),
	flag("dirsync", ""), flag("noatime", "relatime"), flag("nodiratime", ""), flag("nosymfollow", ""),
	unseen("symfollow", "nosymfollow"), flag("nosuid", ""), flag("nodev", ""), flag("default_permissions", ""),
	nothing("norelatime"), nothing("nostrictatime"), nothing("nonempty"), nothing(""), nothing(","), nothing("large_read"),
	nothing("suid"), nothing("dev"), nothing("suid,dev"),
	nothing("max_read=0"), nothing("max_read=4294967295"), nothing("max_read=0131072"),
	nothing("fd=0"), nothing("rootmode=120777"), nothing("user_id=0"), nothing("group_id=0"), nothing("user_id=0,group_id=0,fd=9"),
	{"auto_unmount", func(w *wanted) { w.auto = true }},
	{"allow_other", func(w *wanted) { w.allowOther = true }},
	{"x-hostile", func(w *wanted) { w.recorded = true }},
	{"x-a=b\nID=1 TARGET=/", func(w *wanted) { w.recorded = true }},
}

// unkind are options that must not have the effect that they seek.
var unkind = []option{
	refused(`foobar=\,allow_other`), refused(`max_read=1\,allow_other`), refused(`\,allow_other`), refused(`ro\,dev`),
	refused("blkdev"), refused("allow_root"), refused("kernel_cache"), refused("rw=1"), refused("fsname"), refused("fsname="),
	refused("subtype="), refused("max_read=-1"), refused("max_read=4294967296"), refused("max_read="), refused("blksize=512"),
	refused("RO"), refused(" ro"), refused("ro\n"), refused("user_id"), refused("x" + strings.Repeat("y", 60000)),
	refused("x-" + strings.Repeat("z", 5000)), refused("dev,bogus"), refused("\x1b[2J\u009b0m\x9b"),
	{`x-a=\,noexec`, func(w *wanted) { w.recorded = true; w.either("noexec", "") }},
	{`user_id=\,ro`, func(w *wanted) { w.either("ro", "rw") }},
	{"allow_other,ro", func(w *wanted) { w.allowOther = true; w.either("ro", "rw") }},
}

// names are sources and subtypes, before escaping. Only mount(2) takes the long ones.
var names = []string{
	"demo", "a,allow_other", `a\`, `\,`, "a b\t#", "a\nb", "\xff\xfe", "user_id=0", "é", strings.Repeat("s", 255),
	strings.Repeat("l", 256), strings.Repeat("m", 4000), strings.Repeat("n", 5000), "(deleted)", "none", "/dev/sda",
}

// options makes a list. With user_allow_other, allow_other is an option like others.
func options(e *entropy, allowed bool) (list string, w wanted) {
	w = wanted{source: "/dev/fuse", kind: "fuse", sure: true}
	var parts []string
	for range e.below(5) {
		o := one(e, plain...)
		if e.odd(16) {
			o = one(e, unkind...)
		}
		parts = append(parts, o.text)
		o.effect(&w)
	}
	if e.odd(4) {
		parts = append(parts, w.name(e)...)
	}
	if e.odd(40) {
		raw := e.text(20)
		parts = append(parts, raw)
		w.allowOther = w.allowOther || strings.Contains(raw, "allow_other")
		w.has, w.hasNot, w.anyNames, w.sure = nil, nil, true, false
	}
	list = strings.Join(parts, ",")
	w.auto = w.auto || strings.Contains(list, "auto_unmount")
	w.refused = w.refused || (w.allowOther && !allowed && !w.anyNames)
	w.sure = w.sure && !w.refused && (allowed || !w.allowOther)
	return list, w
}

// name chooses a source and subtype, escaped as libfuse does.
func (w *wanted) name(e *entropy) (parts []string) {
	escape := strings.NewReplacer(`\`, `\\`, `,`, `\,`).Replace
	source, subtype := one(e, names...), ""
	if e.odd(2) {
		subtype = one(e, names[:10]...)
		parts = append(parts, "subtype="+escape(subtype))
		w.source, w.kind = subtype, "fuse."+subtype
	}
	if subtype == "" || e.odd(2) {
		parts = append(parts, "fsname="+escape(source))
		w.source = source
	}
	w.sure = w.sure && len(w.source) <= 255
	if e.odd(16) { // a backslash that nothing follows
		parts[len(parts)-1] += `\`
		w.anyNames, w.sure = true, false
	}
	return parts
}
