package main

import (
	"errors"
	"testing"
)

func TestUsage(t *testing.T) {
	for want, args := range map[string][]string{
		"missing command: list, check or abort":     {"--json"},
		"unknown command 'x': list, check or abort": {"x", "/m"},
		"unknown flag: --nosuch":                    {"list", "--nosuch"},
		"unknown shorthand flag: 'u' in -u":         {"list", "-u"},
		"check takes one path":                      {"check", "/m", "/n"},
		"abort takes one path":                      {"abort"},
		"abort has no --json":                       {"abort", "--json", "/m"},
		"invalid path ''":                           {"list", "/m", ""},
		"bad flag syntax: ---":                      {"list", "---"},
		"invalid argument \"x\" for \"--json\" flag: must be true or false": {"--json=x", "list"},
	} {
		err := run(args)
		var misused *usageError
		if !errors.As(err, &misused) || misused.text != want {
			t.Errorf("%q: %v, want %s", args, err, want)
		}
		if got := status(err); got != exitUsage {
			t.Errorf("%q: exit %d", args, got)
		}
	}
}
