package cmdline

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// reading reads arguments by the rules of getopt_long(3), with =false for
// switches, in another way than Parse does.
type reading struct {
	on         map[string]bool
	given      []string
	values     map[string][]string
	positional []string
	bad        bool
	tookEnd    bool // -- was the value of a flag
}

var (
	shortNames = map[byte]string{'u': "unmount", 'z': "lazy", 'q': "quiet", 'V': "version", 'h': "help", 'o': "options"}
	switches   = []string{"unmount", "lazy", "quiet", "version", "help", "auto-unmount", "sync-init", "list", "check", "abort", "json"}
	withValue  = []string{"options", "comm-fd"}
)

func read(args []string) *reading {
	r := &reading{on: map[string]bool{}, values: map[string][]string{}}
	for len(args) > 0 {
		a := args[0]
		args = args[1:]
		switch {
		case a == "--":
			r.positional = append(r.positional, args...)
			return r
		case strings.HasPrefix(a, "--"):
			name, value, given := strings.Cut(a[2:], "=")
			args = r.flag(name, value, given, args)
		case len(a) > 1 && a[0] == '-':
			args = r.cluster(a[1:], args)
		default:
			r.positional = append(r.positional, a)
		}
	}
	return r
}

func (r *reading) cluster(letters string, args []string) []string {
	for letters != "" {
		name := shortNames[letters[0]]
		switch {
		case len(letters) > 2 && letters[1] == '=':
			return r.flag(name, letters[2:], true, args)
		case name == "options":
			return r.flag(name, letters[1:], len(letters) > 1, args)
		}
		args = r.flag(name, "", false, args)
		letters = letters[1:]
	}
	return args
}

// flag takes a flag in, and the next argument where that is its value.
func (r *reading) flag(name, value string, given bool, args []string) []string {
	r.given = append(r.given, name)
	switch {
	case slices.Contains(switches, name):
		on, err := strconv.ParseBool(value)
		r.bad = r.bad || (given && err != nil)
		r.on[name] = !given || on
	case name == "features":
		if !given {
			value = "mask"
		}
		r.values[name] = []string{value}
	case !slices.Contains(withValue, name), !given && len(args) == 0:
		r.bad = true
	case given:
		r.values[name] = append(r.values[name], value)
	default:
		r.values[name] = append(r.values[name], args[0])
		r.tookEnd = r.tookEnd || args[0] == "--"
		return args[1:]
	}
	return args
}

// request says what is asked for; ok is false where it has to be refused.
func (r *reading) request() (q Request, ok bool) {
	q = Request{
		SyncInit: r.on["sync-init"], Lazy: r.on["lazy"], Quiet: r.on["quiet"], JSON: r.on["json"], Options: r.values["options"],
	}
	if fds := r.values["comm-fd"]; len(fds) > 0 {
		q.CommFD, q.HasCommFD = fds[len(fds)-1], true
	}
	features, asked := r.values["features"]
	switch {
	case r.bad:
		return Request{}, false
	case r.on["help"]:
		q.Mode = Help
	case r.on["version"]:
		q.Mode = Version
	case asked && features[0] == "mask":
		q.Mode = Features
	case asked:
		q.Mode = FeaturesText
		return q, features[0] == "text"
	case r.on["list"]:
		return r.forPeople(q, List, 0, "list", "json")
	case r.on["check"]:
		return r.forPeople(q, Check, 1, "check", "json")
	case r.on["abort"]:
		if len(r.positional) == 0 {
			return Request{}, false
		}
		return r.forPeople(q, Abort, 1, "abort")
	case q.JSON:
		return Request{}, false
	case q.SyncInit && (r.on["unmount"] || r.on["auto-unmount"]), q.Lazy && !r.on["unmount"],
		len(r.positional) != 1, r.positional[0] == "":
		return Request{}, false
	default:
		q.Mountpoint = r.positional[0]
		if r.on["unmount"] {
			q.Mode = Unmount
		} else if r.on["auto-unmount"] {
			q.Mode = Watch
		}
	}
	return q, true
}

// forPeople is a mode with at most so many mountpoints and no flags but these.
func (r *reading) forPeople(q Request, mode Mode, most int, flags ...string) (Request, bool) {
	q.Mode = mode
	if slices.ContainsFunc(r.given, func(name string) bool { return !slices.Contains(flags, name) }) || len(r.positional) > most {
		return Request{}, false
	}
	if len(r.positional) > 0 {
		q.Mountpoint = r.positional[0]
		return q, q.Mountpoint != ""
	}
	return q, true
}

// FuzzParse compares Parse with the reading above. Arguments are separated by
// zero bytes, of which none can have any.
func FuzzParse(f *testing.F) {
	f.Add("fusermount3\x00-o\x00ro\x00--\x00/m")
	f.Fuzz(func(t *testing.T, text string) {
		argv := strings.Split(text, "\x00")
		if text == "" {
			argv = nil
		}
		args := argv[min(1, len(argv)):]
		r := read(args)
		if r.tookEnd || looksLikeTest(args) {
			return // absurd, and what is refused of it is wider
		}
		want, ok := r.request()
		got, err := Parse(argv)
		if (err == nil) != ok || (ok && !reflect.DeepEqual(got, want)) {
			t.Fatalf("Parse(%q) = %+v, %v; want %+v, %v", argv, got, err, want, ok)
		}
		if err != nil && (!reflect.DeepEqual(got, Request{}) || len(err.Error()) > 10*len(text)+200) {
			t.Fatalf("Parse(%q): %+v and %v", argv, got, err)
		}
	})
}

func looksLikeTest(args []string) bool {
	return slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "-") && strings.Contains(a, "test.") })
}

func TestRefusesFlagsOfGoTest(t *testing.T) {
	for _, args := range [][]string{{"-test.v", "/m"}, {"-u", "-quztest.", "/m"}, {"/m", "-test.run=x"}, {"-o", "ro", "-test.v", "--", "/m"}} {
		if got, err := Parse(append([]string{"x"}, args...)); err == nil {
			t.Errorf("Parse(%q) = %+v", args, got)
		}
	}
	for _, args := range [][]string{{"--", "-test.v"}, {"-u", "test.v"}, {"-otest.x", "/m"}} {
		if _, err := Parse(append([]string{"x"}, args...)); err != nil {
			t.Errorf("Parse(%q): %v", args, err)
		}
	}
}

func TestForPeople(t *testing.T) {
	for _, args := range [][]string{
		{"--list", "/m"},
		{"--list", "-u"},
		{"--list", "--check"},
		{"--list", "-q"},
		{"--list", "-o", "ro"},
		{"--list", "--comm-fd=3"},
		{"--check", "/m", "/n"},
		{"--check", ""},
		{"--check", "-z"},
		{"--check", "--sync-init"},
		{"--check", "--abort", "/m"},
		{"--abort"},
		{"--abort", ""},
		{"--abort", "/m", "/n"},
		{"--abort", "-u", "/m"},
		{"--abort", "-z", "/m"},
		{"--abort", "--json", "/m"},
		{"--json", "/m"},
		{"-u", "--json", "/m"},
		{"--auto-unmount", "--json", "/m"},
		{"--list", "--auto-unmount"},
	} {
		if got, err := Parse(append([]string{"x"}, args...)); err == nil {
			t.Errorf("Parse(%q) = %+v", args, got)
		}
	}
	for _, c := range []struct {
		args []string
		want Request
	}{
		{[]string{"--list"}, Request{Mode: List}},
		{[]string{"--json", "--list"}, Request{Mode: List, JSON: true}},
		{[]string{"--check"}, Request{Mode: Check}},
		{[]string{"--check", "/m", "--json"}, Request{Mode: Check, JSON: true, Mountpoint: "/m"}},
		{[]string{"--check", "--", "--list"}, Request{Mode: Check, Mountpoint: "--list"}},
		{[]string{"/m", "--abort"}, Request{Mode: Abort, Mountpoint: "/m"}},
	} {
		if got, err := Parse(append([]string{"x"}, c.args...)); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", c.args, got, err, c.want)
		}
	}
}
