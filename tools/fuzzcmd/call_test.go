package fuzzcmd

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// kind is what a call is meant to do.
type kind int

const (
	mount kind = iota
	unmount
	watch
	ask     // --help and the like
	garbage // anything
)

// call is one run of the helper, and what must be true of it.
type call struct {
	helpertest.Call
	kind   kind
	target target
	want   wanted
	lazy   bool
	quiet  bool
	sync   bool // it may wait for an answer of the peer
	peer   peer

	sure   bool // it must succeed: what is odd about it must not matter
	early  bool // a limit may end the runtime before main
	noisy  bool // the runtime itself writes to standard error
	broken bool // system calls fail that are needed to undo something, or to report it
}

// String describes the call, and what is odd about it.
func (c *call) String() string {
	b := new(strings.Builder)
	fmt.Fprintf(b, "%.300q", c.Args)
	for name, value := range map[string]any{
		"argv": c.Argv, "env": c.Env, "limits": c.Rlimits, "deny": c.Deny, "block": c.Block, "ignore": c.Ignore, "closed": c.CloseFDs,
	} {
		if v := reflect.ValueOf(value); !v.IsNil() {
			fmt.Fprintf(b, " %s %.200q", name, fmt.Sprint(value))
		}
	}
	for name, on := range map[string]bool{
		"stdin is the socket": c.CommStdin, "hung up": c.HangUp, "full": c.Prefill, "in alice's home": c.Dir != "/", "sure": c.sure,
		"odd umask": c.Umask != nil, "no socket": c.Socket == helpertest.NoSocket, "strange socket": c.Comm != nil,
		"seqpacket": c.Socket == helpertest.Seqpacket, "datagrams": c.Socket == helpertest.Dgram, "peer " + c.peer.name: c.sync,
		fmt.Sprintf("socket %d", c.CommFD): c.CommFD != 0,
	} {
		if on {
			fmt.Fprintf(b, ", %s", name)
		}
	}
	return b.String()
}

func (w *world) newCall(e *entropy) *call {
	c := &call{sure: true}
	c.UID, c.GID, c.Dir, c.Prog = alice, alice, "/", w.program()
	switch n := e.below(16); {
	case n < 9:
		w.mountCall(c, e)
	case n < 14:
		w.unmountCall(c, e)
	case n < 15:
		w.watchCall(c, e)
	default:
		w.otherCall(c, e)
	}
	w.avoidHung(c)
	c.surround(e)
	if !c.sync && slices.ContainsFunc(c.Args, isSyncInit) {
		c.sync, c.peer = true, goesAway
	}
	return c
}

// isSyncInit also recognizes the flag's abbreviations.
func isSyncInit(arg string) bool {
	return strings.HasPrefix("--sync-init", arg) && strings.HasPrefix(arg, "--s")
}

// avoidHung kills the daemons if the call would ask one that does not answer: by a path
// that leads through its mount, or by a mount on top of it. An unmount asks none.
func (w *world) avoidHung(c *call) {
	text := w.absolute(c.target)
	for path := range w.daemons {
		through := strings.HasPrefix(text, path+"/") || strings.HasPrefix(c.target.path, path+"/")
		if through || c.kind == garbage || (c.kind == mount && c.target.path == path) {
			w.kill()
			return
		}
	}
}

// aim sets the mountpoint, and the directory to which it is relative.
func (w *world) aim(c *call, t target) {
	c.target = t
	if t.inHome {
		c.Dir = w.home
	}
}

func (w *world) mountCall(c *call, e *entropy) {
	c.kind = mount
	w.aim(c, w.target(e))
	list, want := options(e, w.setting.allowOther)
	c.want = want
	c.sure = c.target.good && want.sure && !w.setting.full && !w.mounted(c.target.path) && !w.hidden(c.target)
	if c.sync = e.odd(5); c.sync {
		c.peer = one(e, peers...)
		c.sure = c.sure && c.peer.good
	}
	c.arrange(e, list)
}

// hidden reports whether the path leads through a mount, whose daemon does not answer.
func (w *world) hidden(t target) bool {
	for _, l := range w.lines {
		if l.Mountpoint != "/" && strings.HasPrefix(l.Mountpoint, w.home) && strings.HasPrefix(t.path, l.Mountpoint+"/") {
			return true
		}
	}
	return false
}

// arrange orders the arguments of a mount as one of the libraries does.
func (c *call) arrange(e *entropy, list string) {
	options := [][]string{{"-o", list}, {"-o" + list}, {"--options", list}, {"--options=" + list}}[e.below(4)]
	if list == "" {
		options = nil // -o alone would take the next argument
	}
	if half, rest, found := strings.Cut(list, ","); found && e.odd(4) && !strings.Contains(list, `\`) {
		options = []string{"-o", half, "-o", rest}
	}
	var flags []string
	if c.sync {
		flags = []string{"--sync-init"}
	}
	if e.odd(8) {
		flags = append(flags, one(e, []string{"--comm-fd=3"}, []string{"--comm-fd", "3"})...)
		c.NoCommEnv = true
	}
	end := []string{"--", c.target.text}
	if !strings.HasPrefix(c.target.text, "-") && e.odd(2) {
		end = end[1:]
	}
	switch e.below(3) {
	case 1:
		if len(end) == 1 { // go-fuse
			c.Args = slices.Concat(end, flags, options)
			return
		}
	case 2:
		c.Args = slices.Concat(options, flags, end)
		return
	}
	c.Args = slices.Concat(flags, options, end)
}

func (w *world) unmountCall(c *call, e *entropy) {
	c.kind = unmount
	c.Socket = helpertest.NoSocket
	w.aim(c, w.target(e))
	switch { // mostly something that is mounted
	case e.odd(2):
		w.aim(c, w.ofMine(e, c.target))
	case e.odd(6):
		w.aim(c, target{text: one(e, w.at("bobs"), w.at("roots"), w.at("tmpfs"), w.at("bobs/."), "/run", "/proc", "/")})
	}
	form := one(e,
		[]string{"-u"}, []string{"-uz"}, []string{"-quz"}, []string{"-u", "-q"}, []string{"--unmount", "--quiet", "--lazy"},
		[]string{"-zu"}, []string{"-u", "-o", "ro"}, []string{"--unm", "--laz"},
	)
	text := strings.Join(form, " ")
	c.quiet = strings.Contains(text, "q")
	c.lazy = strings.Contains(text, "z")
	c.Args = slices.Concat(form, []string{"--", c.target.text})
	within := strings.HasPrefix(strings.TrimRight(w.absolute(c.target), "/"), c.target.path+"/") // the way leads through it
	c.sure = w.mine(c.target.path) && !w.hidden(c.target) && !within
}

func (w *world) absolute(t target) string {
	if t.inHome {
		return w.home + "/" + t.text
	}
	return t.text
}

// ofMine returns one of alice's mounts, or otherwise.
func (w *world) ofMine(e *entropy, otherwise target) target {
	var all []target
	for _, l := range w.lines {
		if owned(l) && strings.HasPrefix(l.Mountpoint, w.home) {
			all = append(all, target{text: l.Mountpoint, path: l.Mountpoint, good: true})
		}
	}
	if len(all) == 0 {
		return otherwise
	}
	return one(e, all...)
}

func (w *world) watchCall(c *call, e *entropy) {
	c.kind = watch
	w.aim(c, w.ofMine(e, w.target(e)))
	c.Args = []string{"--auto-unmount", "--", c.target.text}
	c.sure = w.mine(c.target.path) && !w.hidden(c.target)
}

func (w *world) otherCall(c *call, e *entropy) {
	c.sure = false
	if e.odd(2) {
		c.kind = ask
		c.Args = one(e, []string{"--help"}, []string{"-h"}, []string{"-V"}, []string{"--version"}, []string{"--features"},
			[]string{"--features=text"}, []string{"-hV", "-u"}, []string{"-u", "--help", "x"}, []string{"--vers", "--bogus"}, []string{"--f=text"})
		c.sure = true
		return
	}
	c.kind = garbage
	for range e.below(6) {
		c.Args = append(c.Args, one(e, w.at("m"), "-u", "-z", "-q", "-o", "--", "-", "--comm-fd", "3", "--comm-fd=0", "--auto-unmount",
			"--features=x", "--sync-init", "--unmount=false", "-u=0", "ro", "-test.v", "--lazy", "-oro", "---", "--=", "-V=0", "", "x-y",
			"--bogus", "--unm", "--l", "--au", "--opt", "--c", "--s", "--u=x", "-\xff", "-\n", e.text(10)))
	}
	c.want = wanted{anyNames: true, allowOther: true}
}

// target is a mountpoint as an argument, and where it leads.
type target struct {
	text   string
	path   string // of a mount there; empty: none is possible
	good   bool   // alice may mount there
	inHome bool   // the text is relative to alice's directory
}

// oddNames are names of directories that are difficult for a table, a parser or a
// terminal.
var oddNames = []string{
	"a b", "a\tb", "a\nb", `a\b`, `a\040b`, "a,allow_other", "a#b", "\xff\xfe", "é", "-u", "--", "x (deleted)", "\x1b[2J", "\u009b",
	"- fuse x rw,user_id=0", "ID=1 TARGET=", strings.Repeat("n", 255),
}

// target chooses a mountpoint, in most cases one of alice's.
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

// roundabout returns another spelling of a mountpoint of alice's.
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

// foreign returns a place where alice may not mount.
func (w *world) foreign(e *entropy) target {
	return target{text: one(e,
		w.at("readonly"), w.at("theirs"), w.at("sticky"), w.at("rootfile"), w.at("fifo"), w.at("link"), w.at("dangling"),
		w.at("loop"), w.at("loop/x"), w.at("missing"), w.at("missing/x"), w.at("f/x"), w.at("bobs"), w.at("bobs/x"), w.at("roots"),
		w.at("closed/x"), w.at("closed"), "", "/", ".", "..", "/proc", "/proc/self", "/proc/self/fd", "/proc/self/ns/mnt", "/sys",
		"/dev/pts", "/dev/fuse", "/dev/null", "/etc", "/etc/passwd", "/run", "/root/x", "/sys/fs/fuse/connections",
		w.at(strings.Repeat("n", 256)), w.home+strings.Repeat("/here", 900), w.home+"/x"+e.text(40), "\x1b[2J\n\u009b",
	)}
}
