package cmdline

import (
	"errors"
	"fmt"
	"strings"
)

// The command line is parsed as by glibc's getopt_long(3), which libfuse's helper uses:
// scripts rely on its forms and messages.
//
// The environment variable POSIXLY_CORRECT is ignored. It makes glibc stop at the first
// argument that is not a flag, but go-fuse passes its options after the mountpoint, and
// the environment of a setuid program is its caller's.

// flag is a flag that the program accepts.
type flag struct {
	long    string
	short   byte // 0 if it has none
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
	flag
	value    string
	hasValue bool
}

// scanner reads the arguments from left to right.
type scanner struct {
	flags      []flag
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
		if f.short == 0 || letter[0] != f.short {
			continue
		}
		if f.operand == none {
			return given{flag: f}, nil
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
	var matches []flag
	for _, f := range s.flags {
		if f.long == name {
			matches = []flag{f}
			break
		}
		if strings.HasPrefix(f.long, name) {
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
			possibilities.WriteString(" '--" + f.long + "'")
		}
		return given{}, fmt.Errorf("option '%s' is ambiguous; possibilities:%s", arg, possibilities.String())
	case hasValue && f.operand == none:
		return given{}, fmt.Errorf("option '--%s' doesn't allow an argument", f.long)
	case !hasValue && f.operand == required:
		return s.withNext(f, "option '--"+f.long+"' requires an argument")
	}
	return given{f, value, hasValue}, nil
}

// withNext takes the next argument as the operand, even if it looks like a flag.
func (s *scanner) withNext(f flag, missing string) (given, error) {
	if len(s.args) == 0 {
		return given{}, errors.New(missing)
	}
	value := s.args[0]
	s.args = s.args[1:]
	return given{f, value, true}, nil
}
