// Package cmdline turns the arguments of the command line into a request. It is
// pure: it looks at nothing but the arguments.
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

// flags are in the order in which the message about an ambiguous one lists them.
// No two flags of libfuse's helper begin with the same letter, so any prefix is
// unambiguous.
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

// asked is the request in the making: what the flags say.
type asked struct {
	Request
	unmount, watch bool
	positional     []string
}

// Parse reads the command line, argv[0] included.
func Parse(argv []string) (Request, error) {
	if len(argv) > 0 {
		argv = argv[1:]
	}
	var a asked
	s := scanner{flags: flags, args: argv}
	for {
		g, err := s.next()
		if err != nil {
			return Request{}, err
		}
		switch g.long {
		case "":
			a.positional = s.positional
			return a.request()
		case "help": // as in libfuse's helper, nothing after one of these three is read
			return Request{Mode: Help}, nil
		case "version":
			return Request{Mode: Version}, nil
		case "features":
			return features(g)
		}
		a.take(g)
	}
}

func features(g given) (Request, error) {
	switch {
	case !g.hasValue:
		return Request{Mode: Features}, nil
	case g.value == "text":
		return Request{Mode: FeaturesText}, nil
	}
	return Request{}, errors.New("unknown form of --features: '" + g.value + "'")
}

// take records one flag.
func (a *asked) take(g given) {
	switch g.long {
	case "unmount":
		a.unmount = true
	case "lazy":
		a.Lazy = true
	case "quiet":
		a.Quiet = true
	case "options": // repeated ones add up
		a.Options = append(a.Options, g.value)
	case "auto-unmount":
		a.watch = true
	case "comm-fd":
		a.CommFD, a.HasCommFD = g.value, true
	case "sync-init":
		a.SyncInit = true
	}
}

// request chooses the mode, and holds the arguments to what it takes.
func (a *asked) request() (Request, error) {
	switch {
	case a.SyncInit && (a.unmount || a.watch):
		return Request{}, errors.New("--sync-init can only be used to mount")
	case a.unmount:
		a.Mode = Unmount
	case a.Lazy:
		return Request{}, errors.New("-z can only be used with -u")
	case a.watch:
		a.Mode = Watch
	}
	return a.wantMountpoint()
}

func (a *asked) wantMountpoint() (Request, error) {
	switch {
	case len(a.positional) == 0:
		return Request{}, errors.New("missing mountpoint argument")
	case len(a.positional) > 1:
		return Request{}, errors.New("extra arguments after the mountpoint")
	case a.positional[0] == "":
		return Request{}, errors.New("invalid mountpoint ''")
	}
	a.Mountpoint = a.positional[0]
	return a.Request, nil
}
