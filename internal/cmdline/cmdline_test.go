package cmdline

import (
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		args string // separated by spaces
		want Request
	}{
		{"/m", Request{Mountpoint: "/m"}},
		{"-o ro,rw -- /m", Request{Mountpoint: "/m", Options: []string{"ro,rw"}}},
		{"/m -o ro", Request{Mountpoint: "/m", Options: []string{"ro"}}},
		{"-oro --options=rw --opt sync --o=-x -o -- /m", Request{Mountpoint: "/m", Options: []string{"ro", "rw", "sync", "-x", "--"}}},
		{"-o=ro /m", Request{Mountpoint: "/m", Options: []string{"=ro"}}},
		{"-qo -u /m", Request{Mountpoint: "/m", Quiet: true, Options: []string{"-u"}}},
		{"-", Request{Mountpoint: "-"}},
		{"-quz -- -u", Request{Mode: Unmount, Mountpoint: "-u", Lazy: true, Quiet: true}},
		{"--unm --l --qui -- --", Request{Mode: Unmount, Mountpoint: "--", Lazy: true, Quiet: true}},
		{"test.v -u", Request{Mode: Unmount, Mountpoint: "test.v"}},
		{"--comm-fd 3 --comm-fd=4 /m", Request{Mountpoint: "/m", CommFD: "4", HasCommFD: true}},
		{"--c= /m", Request{Mountpoint: "/m", HasCommFD: true}},
		{"--sync /m", Request{Mountpoint: "/m", SyncInit: true}},
		{"--a /m", Request{Mode: Watch, Mountpoint: "/m"}},
		{"--features", Request{Mode: Features}},
		{"--feat=text", Request{Mode: FeaturesText}},
		// Nothing is read after one of these.
		{"-z /m /n -hx --bogus", Request{Mode: Help}},
		{"-Vh", Request{Mode: Version}},
		{"--f -u --options", Request{Mode: Features}},
	} {
		got, err := Parse(append([]string{"x"}, strings.Fields(c.args)...))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v; want %+v", c.args, got, err, c.want)
		}
	}
}

func TestRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"":                     "missing mountpoint argument",
		"-u --":                "missing mountpoint argument",
		"/m -- -u":             "extra arguments after the mountpoint",
		"-z":                   "-z can only be used with -u",
		"--bogus=x":            "unrecognized option '--bogus=x'",
		"---":                  "unrecognized option '---'",
		"-uxV":                 "invalid option -- 'x'",
		"-x -h":                "invalid option -- 'x'",
		"-u-":                  "invalid option -- '-'",
		"-test.v":              "invalid option -- 't'",
		"-\u00fc":              "invalid option -- '\xc3'",
		"-\x00":                "invalid option -- '\x00'",
		"-uo":                  "option requires an argument -- 'o'",
		"/m --opt":             "option '--options' requires an argument",
		"--comm-fd":            "option '--comm-fd' requires an argument",
		"--unm= /m":            "option '--unmount' doesn't allow an argument",
		"--features=":          "unknown form of --features: ''",
		"--sync-init -u /m":    "--sync-init can only be used to mount",
		"--auto-unmount -z /m": "-z can only be used with -u",
		"--=x": "option '--=x' is ambiguous; possibilities: '--unmount' '--lazy' '--quiet' '--help' '--version' '--options' " +
			"'--auto-unmount' '--comm-fd' '--sync-init' '--features'",
		// Those of fusectl.
		"--list":     "unrecognized option '--list'",
		"--check /m": "unrecognized option '--check'",
		"--abort /m": "unrecognized option '--abort'",
		"--json -u":  "unrecognized option '--json'",
	} {
		got, err := Parse(append([]string{"x"}, strings.Fields(args)...))
		if err == nil || err.Error() != want || !reflect.DeepEqual(got, Request{}) {
			t.Errorf("%q: %+v, %v; want %q", args, got, err, want)
		}
	}
	for _, mode := range [][]string{nil, {"-u"}, {"--auto-unmount"}} {
		if got, err := Parse(append([]string{"x", ""}, mode...)); err == nil || err.Error() != "invalid mountpoint ''" {
			t.Errorf("%q and an empty mountpoint: %+v, %v", mode, got, err)
		}
	}
}

func TestParseNothing(t *testing.T) {
	for _, argv := range [][]string{nil, {}, {""}, {"x"}} {
		if got, err := Parse(argv); err == nil || err.Error() != "missing mountpoint argument" {
			t.Errorf("%q: %+v, %v", argv, got, err)
		}
	}
}

// Every abbreviation that libfuse's helper accepts stays unambiguous.
func TestOneLetterIsEnough(t *testing.T) {
	letters := map[byte]string{}
	for _, f := range Flags {
		if other, taken := letters[f.Long[0]]; taken {
			t.Errorf("--%s and --%s begin with the same letter", other, f.Long)
		}
		letters[f.Long[0]] = f.Long
	}
	if len(letters) < 10 {
		t.Errorf("only %q", letters)
	}
}
