// Package cmdline turns the command line into a request. It is pure: it reads nothing but
// the arguments.
package cmdline

import (
	"errors"
	"fmt"
	"strings"
)

// Mode is what is to be done.
type Mode int

// The modes.
const (
	Mount Mode = iota
	Unmount
	Watch // --auto-unmount
	Help
	Version
	Features
	FeaturesText
)

// Request is what the command line asks for.
type Request struct {
	Mode       Mode
	Mountpoint string   // never empty where the mode has one
	Options    []string // of each -o, comma-separated
	SyncInit   bool
	Lazy       bool
	Quiet      bool
	CommFD     string // as it was given
	HasCommFD  bool
}

// Flags are all flags, in the order in which a message about an ambiguous one lists them.
var Flags = []Flag{
	{Long: "unmount", Short: 'u'},
	{Long: "lazy", Short: 'z'},
	{Long: "quiet", Short: 'q'},
	{Long: "help", Short: 'h'},
	{Long: "version", Short: 'V'},
	{Long: "options", Short: 'o', operand: required},
	{Long: "auto-unmount"},
	{Long: "comm-fd", operand: required},
	{Long: "sync-init"},
	{Long: "features", operand: optional},
}

// Parse reads the command line, argv[0] included.
func Parse(argv []string) (Request, error) {
	if len(argv) > 0 {
		argv = argv[1:]
	}
	var r Request
	var unmount, watch bool
	s := scanner{flags: Flags, args: argv}
	for {
		g, err := s.next()
		if err != nil {
			return Request{}, err
		}
		switch g.Long {
		case "unmount":
			unmount = true
		case "lazy":
			r.Lazy = true
		case "quiet":
			r.Quiet = true
		case "options": // repeated ones add up
			r.Options = append(r.Options, g.value)
		case "auto-unmount":
			watch = true
		case "comm-fd":
			r.CommFD, r.HasCommFD = g.value, true
		case "sync-init":
			r.SyncInit = true
		case "help": // as in libfuse's helper, nothing after one of these three is read
			return Request{Mode: Help}, nil
		case "version":
			return Request{Mode: Version}, nil
		case "features":
			switch {
			case !g.hasValue:
				return Request{Mode: Features}, nil
			case g.value == "text":
				return Request{Mode: FeaturesText}, nil
			}
			return Request{}, errors.New("unknown form of --features: '" + g.value + "'")
		case "":
			return finish(r, unmount, watch, s.positional)
		}
	}
}

// finish chooses the mode, and checks the arguments against it.
func finish(r Request, unmount, watch bool, positional []string) (Request, error) {
	refuse := func(text string) (Request, error) { return Request{}, errors.New(text) }
	switch {
	case r.SyncInit && (unmount || watch):
		return refuse("--sync-init can only be used to mount")
	case r.Lazy && !unmount:
		return refuse("-z can only be used with -u")
	case len(positional) == 0:
		return refuse("missing mountpoint argument")
	case len(positional) > 1:
		return refuse("extra arguments after the mountpoint")
	case positional[0] == "":
		return refuse("invalid mountpoint ''")
	case unmount:
		r.Mode = Unmount
	case watch:
		r.Mode = Watch
	}
	r.Mountpoint = positional[0]
	return r, nil
}

// The command line is parsed as by glibc's getopt_long(3), which libfuse's helper uses:
// scripts rely on its forms and messages.
//
// The environment variable POSIXLY_CORRECT is ignored. It makes glibc stop at the first
// argument that is not a flag, but go-fuse passes its options after the mountpoint, and
// the environment of a setuid program is its caller's.

// Flag is a flag that the program accepts.
type Flag struct {
	Long    string
	Short   byte // 0 if it has none
	operand operand
}

// operand says whether a flag takes an argument of its own.
type operand int

const (
	none operand = iota
	required
	optional // only behind a =
)

// given is a flag on the command line. At the end its long name is empty.
type given struct {
	Flag
	value    string
	hasValue bool
}

// scanner reads the arguments from left to right.
type scanner struct {
	flags      []Flag
	args       []string // not read yet
	cluster    string   // the rest of an argument such as -uz
	positional []string // the arguments that are not flags; complete at the end
}

// next returns the next flag, and collects the other arguments on the way.
func (s *scanner) next() (given, error) {
	for s.cluster == "" {
		if len(s.args) == 0 {
			return given{}, nil
		}
		arg := s.args[0]
		s.args = s.args[1:]
		switch {
		case arg == "--":
			s.positional = append(s.positional, s.args...)
			s.args = nil
		case strings.HasPrefix(arg, "--"):
			return s.long(arg)
		case strings.HasPrefix(arg, "-") && arg != "-":
			s.cluster = arg[1:]
		default:
			s.positional = append(s.positional, arg)
		}
	}
	letter := s.cluster[:1]
	s.cluster = s.cluster[1:]
	for _, f := range s.flags {
		if f.Short == 0 || letter[0] != f.Short {
			continue
		}
		if f.operand == none {
			return given{Flag: f}, nil
		}
		if value := s.cluster; value != "" {
			s.cluster = ""
			return given{f, value, true}, nil
		}
		return s.withNext(f, "option requires an argument -- '"+letter+"'")
	}
	return given{}, errors.New("invalid option -- '" + letter + "'")
}

// long parses a long flag: its name, or a prefix that only one flag has.
func (s *scanner) long(arg string) (given, error) {
	name, value, hasValue := strings.Cut(arg[len("--"):], "=")
	var matches []Flag
	for _, f := range s.flags {
		if f.Long == name {
			matches = []Flag{f}
			break
		}
		if strings.HasPrefix(f.Long, name) {
			matches = append(matches, f)
		}
	}
	if len(matches) == 0 {
		return given{}, errors.New("unrecognized option '" + arg + "'")
	}
	f := matches[0]
	switch {
	case len(matches) > 1: // glibc accepts a prefix of synonyms; there are none here
		var possibilities strings.Builder
		for _, f := range matches {
			possibilities.WriteString(" '--" + f.Long + "'")
		}
		return given{}, fmt.Errorf("option '%s' is ambiguous; possibilities:%s", arg, possibilities.String())
	case hasValue && f.operand == none:
		return given{}, fmt.Errorf("option '--%s' doesn't allow an argument", f.Long)
	case !hasValue && f.operand == required:
		return s.withNext(f, "option '--"+f.Long+"' requires an argument")
	}
	return given{f, value, hasValue}, nil
}

// withNext takes the next argument as the operand, even if it looks like a flag.
func (s *scanner) withNext(f Flag, missing string) (given, error) {
	if len(s.args) == 0 {
		return given{}, errors.New(missing)
	}
	value := s.args[0]
	s.args = s.args[1:]
	return given{f, value, true}, nil
}
