package cmdline

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// reading parses arguments by the rules of getopt_long(3) in another way than Parse
// does: all flags are spelled out first, and interpreted afterwards.
type reading struct {
	names      []string
	values     map[string][]string
	positional []string
	stopped    string // bad, or what is answered without reading the rest
}

var (
	letters  = map[byte]string{'u': "unmount", 'z': "lazy", 'q': "quiet", 'V': "version", 'h': "help", 'o': "options"}
	initials = map[byte]string{
		'u': "unmount", 'l': "lazy", 'q': "quiet", 'v': "version", 'h': "help", 'o': "options",
		'a': "auto-unmount", 'c': "comm-fd", 's': "sync-init", 'f': "features",
	}
	withValue = []string{"options", "comm-fd"}
)

func read(args []string) *reading {
	r := &reading{values: map[string][]string{}}
	for i := 0; i < len(args) && r.stopped == ""; i++ {
		switch a := args[i]; {
		case a == "--":
			r.positional = append(r.positional, args[i+1:]...)
			return r
		case len(a) < 2 || a[0] != '-':
			r.positional = append(r.positional, a)
		case a[1] == '-':
			i += r.long(a[2:], args[i+1:])
		default:
			i += r.cluster(a[1:], args[i+1:])
		}
	}
	return r
}

// long returns how many of the following arguments belong to the flag.
func (r *reading) long(text string, rest []string) int {
	name, value, attached := strings.Cut(text, "=")
	full := ""
	if name != "" {
		full = initials[name[0]]
	}
	if full == "" || !strings.HasPrefix(full, name) {
		r.stopped = "bad"
		return 0
	}
	name = full
	switch {
	case name == "features" && !attached:
		r.stopped = "mask"
		return 0
	case name == "features" && value == "text":
		r.stopped = "text"
		return 0
	case attached && !slices.Contains(withValue, name):
		r.stopped = "bad"
		return 0
	case attached:
		r.add(name, value)
		return 0
	}
	return r.detached(name, rest)
}

func (r *reading) cluster(text string, rest []string) int {
	for i := range len(text) {
		switch name := letters[text[i]]; {
		case name == "":
			r.stopped = "bad"
		case name == "options" && i+1 < len(text):
			r.add(name, text[i+1:])
			return 0
		default:
			if used := r.detached(name, rest); used > 0 || r.stopped != "" {
				return used
			}
			continue
		}
		return 0
	}
	return 0
}

// detached is a flag with nothing attached to it.
func (r *reading) detached(name string, rest []string) int {
	switch {
	case name == "help" || name == "version":
		r.stopped = name
	case !slices.Contains(withValue, name):
		r.add(name, "")
	case len(rest) == 0:
		r.stopped = "bad"
	default:
		r.add(name, rest[0])
		return 1
	}
	return 0
}

func (r *reading) add(name, value string) {
	r.names = append(r.names, name)
	r.values[name] = append(r.values[name], value)
}

func (r *reading) has(name string) bool { return slices.Contains(r.names, name) }

// request says what is asked for; ok is false where it has to be refused.
func (r *reading) request() (q Request, ok bool) {
	answers := map[string]Mode{"help": Help, "version": Version, "mask": Features, "text": FeaturesText}
	if r.stopped != "" {
		mode, ok := answers[r.stopped]
		return Request{Mode: mode}, ok
	}
	q = Request{
		SyncInit: r.has("sync-init"), Lazy: r.has("lazy"), Quiet: r.has("quiet"), Options: r.values["options"],
	}
	if fds := r.values["comm-fd"]; len(fds) > 0 {
		q.CommFD, q.HasCommFD = fds[len(fds)-1], true
	}
	switch {
	case q.SyncInit && (r.has("unmount") || r.has("auto-unmount")), q.Lazy && !r.has("unmount"),
		len(r.positional) != 1, r.positional[0] == "":
		return Request{}, false
	}
	q.Mountpoint = r.positional[0]
	if r.has("unmount") {
		q.Mode = Unmount
	} else if r.has("auto-unmount") {
		q.Mode = Watch
	}
	return q, true
}

// messages are all errors. The first group of the first two is an argument.
var messages = []*regexp.Regexp{
	regexp.MustCompile(`^unrecognized option '((?s).*)'$`),
	regexp.MustCompile(`^option '(--(?s:=.*)?)' is ambiguous; possibilities:( '--[a-z-]+')+$`),
	regexp.MustCompile(`^option '--(unmount|lazy|quiet|help|version|auto-unmount|sync-init)' doesn't allow an argument$`),
	regexp.MustCompile(`^option '--(options|comm-fd)' requires an argument$`),
	regexp.MustCompile(`^option requires an argument -- 'o'$`),
	regexp.MustCompile(`^unknown form of --features: '(?s).*'$`),
	regexp.MustCompile(`^--sync-init can only be used to mount$`),
	regexp.MustCompile(`^(-z can only be used with -u|missing mountpoint argument|extra arguments after the mountpoint|invalid mountpoint '')$`),
}

// isMessage reports whether a text is such a message, with its argument unchanged.
func isMessage(text string, args []string) bool {
	if letter, ok := strings.CutPrefix(text, "invalid option -- '"); ok { // one byte, whatever it is
		return len(letter) == 2 && letter[1] == '\'' && letters[letter[0]] == ""
	}
	for i, form := range messages {
		m := form.FindStringSubmatch(text)
		if m != nil {
			return i > 1 || slices.Contains(args, m[1])
		}
	}
	return false
}

// FuzzParse compares Parse with the reading above. The arguments are separated by
// zero bytes, which they cannot contain.
func FuzzParse(f *testing.F) {
	f.Add("fusermount3\x00-o\x00ro\x00--\x00/m")
	f.Fuzz(func(t *testing.T, text string) {
		argv := strings.Split(text, "\x00")
		if text == "" {
			argv = nil
		}
		args := argv[min(1, len(argv)):]
		want, ok := read(args).request()
		got, err := Parse(argv)
		if (err == nil) != ok || (ok && !reflect.DeepEqual(got, want)) {
			t.Fatalf("Parse(%q) = %+v, %v; want %+v, %v", argv, got, err, want, ok)
		}
		if err != nil && (!reflect.DeepEqual(got, Request{}) || !isMessage(err.Error(), args)) {
			t.Fatalf("Parse(%q): %+v and %q", argv, got, err)
		}
		checkRequest(t, argv, got, err)
		if strings.Join(argv, "\x00") != text {
			t.Fatalf("Parse changed %q to %q", text, argv)
		}
		again, errAgain := Parse(slices.Clone(argv))
		if !reflect.DeepEqual(again, got) || (err == nil) != (errAgain == nil) || (err != nil && err.Error() != errAgain.Error()) {
			t.Fatalf("Parse(%q) = %+v, %v, and then %+v, %v", argv, got, err, again, errAgain)
		}
	})
}

// checkRequest checks what the rest of the program relies on.
func checkRequest(t *testing.T, argv []string, r Request, err error) {
	t.Helper()
	if err == nil && r.Mountpoint == "" && slices.Contains([]Mode{Mount, Unmount, Watch}, r.Mode) {
		t.Fatalf("Parse(%q): no mountpoint in %+v", argv, r)
	}
	if r.Mountpoint != "" && !slices.Contains(argv, r.Mountpoint) {
		t.Fatalf("Parse(%q): mountpoint %q", argv, r.Mountpoint)
	}
	for _, value := range append(slices.Clone(r.Options), r.CommFD) {
		if !slices.ContainsFunc(argv, func(arg string) bool { return strings.HasSuffix(arg, value) }) && value != "" {
			t.Fatalf("Parse(%q): %q was never given", argv, value)
		}
	}
}
