// Package cmdline turns the arguments of the command line into a request. It is
// pure: it looks at nothing but the arguments.
package cmdline

import (
	"errors"
	"io"
	"strings"

	"github.com/spf13/pflag"
)

// Mode is what is to be done.
type Mode int

// The modes.
const (
	Mount Mode = iota
	Unmount
	Watch // --auto-unmount
	List
	Check
	Abort
	Help
	Version
	Features
	FeaturesText
)

// Request is what the command line asks for.
type Request struct {
	Mode       Mode
	Mountpoint string   // never empty where the mode has one; with Check it may be empty
	Options    []string // of each -o, comma-separated
	SyncInit   bool
	Lazy       bool
	Quiet      bool
	JSON       bool
	CommFD     string // as it was given
	HasCommFD  bool
}

// Parse reads the command line, argv[0] included.
func Parse(argv []string) (Request, error) {
	var req Request
	var unmount, watch, help, version bool
	var list, check, abort bool
	var features string
	flags := pflag.NewFlagSet("fusermount3", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVarP(&unmount, "unmount", "u", false, "")
	flags.BoolVarP(&req.Lazy, "lazy", "z", false, "")
	flags.BoolVarP(&req.Quiet, "quiet", "q", false, "")
	flags.StringArrayVarP(&req.Options, "options", "o", nil, "")
	flags.StringVar(&req.CommFD, "comm-fd", "", "")
	flags.BoolVar(&watch, "auto-unmount", false, "")
	flags.BoolVar(&req.SyncInit, "sync-init", false, "")
	flags.BoolVar(&list, "list", false, "")
	flags.BoolVar(&check, "check", false, "")
	flags.BoolVar(&abort, "abort", false, "")
	flags.BoolVar(&req.JSON, "json", false, "")
	flags.StringVar(&features, "features", "", "")
	flags.Lookup("features").NoOptDefVal = "mask"
	flags.BoolVarP(&version, "version", "V", false, "")
	flags.BoolVarP(&help, "help", "h", false, "")
	if len(argv) > 0 {
		argv = argv[1:]
	}
	if err := refuseSkipped(argv); err != nil {
		return Request{}, err
	}
	if err := flags.Parse(argv); err != nil {
		return Request{}, err
	}
	req.HasCommFD = flags.Changed("comm-fd")
	switch {
	case help:
		req.Mode = Help
		return req, nil
	case version:
		req.Mode = Version
		return req, nil
	case flags.Changed("features"):
		return req.wantFeatures(features)
	case list:
		req.Mode = List
		return req.alone(flags)
	case check:
		req.Mode = Check
		return req.alone(flags)
	case abort:
		req.Mode = Abort
		return req.alone(flags)
	case req.JSON:
		return Request{}, errors.New("--json can only be used with --list or --check")
	case req.SyncInit && (unmount || watch):
		return Request{}, errors.New("--sync-init can only be used to mount")
	case unmount:
		req.Mode = Unmount
	case req.Lazy:
		return Request{}, errors.New("-z can only be used with -u")
	case watch:
		req.Mode = Watch
	}
	return req.wantMountpoint(flags.Args())
}

func (r Request) wantFeatures(form string) (Request, error) {
	switch form {
	case "mask":
		r.Mode = Features
	case "text":
		r.Mode = FeaturesText
	default:
		return Request{}, errors.New("unknown form of --features: '" + form + "'")
	}
	return r, nil
}

func (r Request) wantMountpoint(args []string) (Request, error) {
	switch {
	case len(args) == 0:
		return Request{}, errors.New("missing mountpoint argument")
	case len(args) > 1:
		return Request{}, errors.New("extra arguments after the mountpoint")
	case args[0] == "":
		return Request{}, errors.New("invalid mountpoint ''")
	}
	r.Mountpoint = args[0]
	return r, nil
}

// refuseSkipped refuses what pflag would pass over without a word: it takes
// -test.ANYTHING, also behind other short flags, for a flag of go test.
func refuseSkipped(args []string) error {
	for _, arg := range args {
		if arg == "--" {
			return nil
		}
		if short, ok := strings.CutPrefix(arg, "-"); ok && strings.HasPrefix(strings.TrimLeft(short, "uzqVh"), "test.") {
			return errors.New("unknown shorthand flag: 't' in " + arg)
		}
	}
	return nil
}
