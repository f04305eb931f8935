// Package cmdline turns the arguments of the command line into a request. It is
// pure: it looks at nothing but the arguments.
package cmdline

import (
	"errors"
	"fmt"
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

// asked is the request in the making: what the flags say.
type asked struct {
	Request
	unmount, watch, list, check, abort, help, version bool

	features string
}

func (a *asked) flags() *pflag.FlagSet {
	flags := pflag.NewFlagSet("fusermount3", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVarP(&a.unmount, "unmount", "u", false, "")
	flags.BoolVarP(&a.Lazy, "lazy", "z", false, "")
	flags.BoolVarP(&a.Quiet, "quiet", "q", false, "")
	flags.StringArrayVarP(&a.Options, "options", "o", nil, "")
	flags.StringVar(&a.CommFD, "comm-fd", "", "")
	flags.BoolVar(&a.watch, "auto-unmount", false, "")
	flags.BoolVar(&a.SyncInit, "sync-init", false, "")
	flags.BoolVar(&a.list, "list", false, "")
	flags.BoolVar(&a.check, "check", false, "")
	flags.BoolVar(&a.abort, "abort", false, "")
	flags.BoolVar(&a.JSON, "json", false, "")
	flags.StringVar(&a.features, "features", "", "")
	flags.Lookup("features").NoOptDefVal = "mask"
	flags.BoolVarP(&a.version, "version", "V", false, "")
	flags.BoolVarP(&a.help, "help", "h", false, "")
	return flags
}

// Parse reads the command line, argv[0] included.
func Parse(argv []string) (Request, error) {
	if len(argv) > 0 {
		argv = argv[1:]
	}
	if err := refuseSkipped(argv); err != nil {
		return Request{}, err
	}
	var a asked
	flags := a.flags()
	if err := flags.Parse(argv); err != nil {
		return Request{}, worded(err)
	}
	a.HasCommFD = flags.Changed("comm-fd")
	return a.request(flags)
}

// request chooses the mode, and holds the arguments to what it takes.
func (a *asked) request(flags *pflag.FlagSet) (Request, error) {
	switch {
	case a.help:
		a.Mode = Help
		return a.Request, nil
	case a.version:
		a.Mode = Version
		return a.Request, nil
	case flags.Changed("features"):
		return a.wantFeatures(a.features)
	case a.list:
		a.Mode = List
		return a.alone(flags)
	case a.check:
		a.Mode = Check
		return a.alone(flags)
	case a.abort:
		a.Mode = Abort
		return a.alone(flags)
	case a.JSON:
		return Request{}, errors.New("--json can only be used with --list or --check")
	case a.SyncInit && (a.unmount || a.watch):
		return Request{}, errors.New("--sync-init can only be used to mount")
	case a.unmount:
		a.Mode = Unmount
	case a.Lazy:
		return Request{}, errors.New("-z can only be used with -u")
	case a.watch:
		a.Mode = Watch
	}
	return a.wantMountpoint(flags.Args())
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

// worded says a wrong value of a flag in plainer words than pflag, which quotes the
// function of Go that did not take it.
func worded(err error) error {
	var wrong *pflag.InvalidValueError
	if errors.As(err, &wrong) {
		return fmt.Errorf("--%s takes no value '%s'", wrong.GetFlag().Name, wrong.GetValue())
	}
	return err
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
