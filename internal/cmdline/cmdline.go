// Package cmdline turns the command line into a request. It is pure: it reads nothing but
// the arguments.
package cmdline

import "errors"

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

// flags are in the order in which a message about an ambiguous one lists them.
var flags = []flag{
	{long: "unmount", short: 'u'},
	{long: "lazy", short: 'z'},
	{long: "quiet", short: 'q'},
	{long: "help", short: 'h'},
	{long: "version", short: 'V'},
	{long: "options", short: 'o', operand: required},
	{long: "auto-unmount"},
	{long: "comm-fd", operand: required},
	{long: "sync-init"},
	{long: "features", operand: optional},
}

// Flags lists the names of all flags, with their dashes.
func Flags() (names []string) {
	for _, f := range flags {
		names = append(names, "--"+f.long)
		if f.short != 0 {
			names = append(names, "-"+string(rune(f.short)))
		}
	}
	return names
}

// Parse reads the command line, argv[0] included.
func Parse(argv []string) (Request, error) {
	if len(argv) > 0 {
		argv = argv[1:]
	}
	var r Request
	var unmount, watch bool
	s := scanner{flags: flags, args: argv}
	for {
		g, err := s.next()
		if err != nil {
			return Request{}, err
		}
		switch g.long {
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
