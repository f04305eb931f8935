package fuzzcmd

import "strings"

// target is a mountpoint as it is given, and where it leads.
type target struct {
	text   string
	path   string // where a mount would lie; empty: nowhere
	good   bool   // alice may mount there
	inHome bool   // the text is relative to her directory
}

// oddNames are names of directories that a table, a parser or a terminal may
// stumble over.
var oddNames = []string{
	"a b", "a\tb", "a\nb", `a\b`, `a\040b`, "a,allow_other", "a#b", "\xff\xfe", "é", "-u", "--", "x (deleted)", "\x1b[2J", "\u009b",
	"- fuse x rw,user_id=0", "ID=1 TARGET=", strings.Repeat("n", 255),
}

// target chooses one: of hers in most cases.
func (w *world) target(e *entropy) target {
	if e.odd(4) {
		return w.roundabout(e)
	}
	if e.odd(4) {
		path := w.own(one(e, oddNames...))
		return target{text: path, path: path, good: true}
	}
	if e.odd(5) {
		return w.foreign(e)
	}
	path := w.at(one(e, "m", "n", "f", "open", "full", "mysticky"))
	return target{text: path, path: path, good: true}
}

// roundabout names one of her own in another way.
func (w *world) roundabout(e *entropy) target {
	m := w.at("m")
	return one(e,
		target{text: w.home + "//m", path: m, good: true},
		target{text: m + "/", path: m, good: true},
		target{text: m + "///", path: m, good: true},
		target{text: w.home + "/here/here/m", path: m, good: true},
		target{text: w.home + "/./here/../" + w.base() + "/m", path: m, good: true},
		target{text: "m", path: m, good: true, inHome: true},
		target{text: "./m", path: m, good: true, inHome: true},
		target{text: "full/sub/..", path: w.at("full"), good: true, inHome: true},
		target{text: w.at("full/sub/."), path: w.at("full/sub"), good: true},
		target{text: w.home + "/link/", inHome: true}, // a trailing slash does not follow
		target{text: w.at("full") + "/sub/../sub", path: w.at("full/sub"), good: true},
	)
}

func (w *world) base() string { return w.home[strings.LastIndexByte(w.home, '/')+1:] }

// foreign is where she may not mount.
func (w *world) foreign(e *entropy) target {
	return target{text: one(e,
		w.at("readonly"), w.at("theirs"), w.at("sticky"), w.at("rootfile"), w.at("fifo"), w.at("link"), w.at("dangling"),
		w.at("loop"), w.at("loop/x"), w.at("missing"), w.at("missing/x"), w.at("f/x"), w.at("bobs"), w.at("bobs/x"), w.at("roots"),
		w.at("closed/x"), w.at("closed"), "", "/", ".", "..", "/proc", "/proc/self", "/proc/self/fd", "/proc/self/ns/mnt", "/sys",
		"/dev/pts", "/dev/fuse", "/dev/null", "/etc", "/etc/passwd", "/run", "/root/x", "/sys/fs/fuse/connections",
		w.at(strings.Repeat("n", 256)), w.home+strings.Repeat("/here", 900), w.home+"/x"+e.text(40), "\x1b[2J\n\u009b",
	)}
}
