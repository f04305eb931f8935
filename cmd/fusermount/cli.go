package main

import (
	"errors"
	"io"
	"strings"

	"github.com/spf13/pflag"
)

type mode int

const (
	modeMount mode = iota
	modeUnmount
	modeWatch
	modeHelp
	modeVersion
	modeFeatures
	modeFeaturesText
)

// request is what the command line asks for.
type request struct {
	mode       mode
	mountpoint string
	options    string // comma-separated
	syncInit   bool
	lazy       bool
	quiet      bool
	commFD     string // empty: not given on the command line
	hasCommFD  bool
}

// parse reads the command line. It looks at nothing else.
func parse(argv []string) (request, error) {
	var req request
	var options []string
	var unmount, watch, help, version bool
	var features string
	flags := pflag.NewFlagSet("fusermount3", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVarP(&unmount, "unmount", "u", false, "")
	flags.BoolVarP(&req.lazy, "lazy", "z", false, "")
	flags.BoolVarP(&req.quiet, "quiet", "q", false, "")
	flags.StringArrayVarP(&options, "options", "o", nil, "")
	flags.StringVar(&req.commFD, "comm-fd", "", "")
	flags.BoolVar(&watch, "auto-unmount", false, "")
	flags.BoolVar(&req.syncInit, "sync-init", false, "")
	flags.StringVar(&features, "features", "", "")
	flags.Lookup("features").NoOptDefVal = "mask"
	flags.BoolVarP(&version, "version", "V", false, "")
	flags.BoolVarP(&help, "help", "h", false, "")
	if len(argv) > 0 {
		argv = argv[1:]
	}
	if err := flags.Parse(argv); err != nil {
		return request{}, err
	}
	req.hasCommFD = flags.Changed("comm-fd")
	req.options = strings.Join(options, ",")
	switch {
	case help:
		req.mode = modeHelp
		return req, nil
	case version:
		req.mode = modeVersion
		return req, nil
	case flags.Changed("features"):
		return req.wantFeatures(features)
	case req.syncInit && (unmount || watch):
		return request{}, errors.New("--sync-init can only be used to mount")
	case unmount:
		req.mode = modeUnmount
	case req.lazy:
		return request{}, errors.New("-z can only be used with -u")
	case watch:
		req.mode = modeWatch
	}
	return req.wantMountpoint(flags.Args())
}

func (r request) wantFeatures(form string) (request, error) {
	switch form {
	case "mask":
		r.mode = modeFeatures
	case "text":
		r.mode = modeFeaturesText
	default:
		return request{}, errors.New("unknown form of --features: '" + form + "'")
	}
	return r, nil
}

func (r request) wantMountpoint(args []string) (request, error) {
	switch {
	case len(args) == 0:
		return request{}, errors.New("missing mountpoint argument")
	case len(args) > 1:
		return request{}, errors.New("extra arguments after the mountpoint")
	case args[0] == "":
		return request{}, errors.New("invalid mountpoint ''")
	}
	r.mountpoint = args[0]
	return r, nil
}
