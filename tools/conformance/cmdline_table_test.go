package conformance

import (
	"slices"
	"strings"
)

// commandLines are all that are tried.
func commandLines() (all []commandLine) {
	for args, want := range written {
		all = append(all, commandLine{args: strings.Fields(args), want: want})
	}
	all = slices.Concat(all, odd, clusters(), abbreviations(), pairs())
	slices.SortStableFunc(all, func(a, b commandLine) int { return strings.Compare(a.String(), b.String()) })
	return all
}

const (
	noSocket   = "1 old style mounting not supported"
	notMounted = "1 entry for $H/m not found in /etc/mtab"
	missing    = "1 missing mountpoint argument"
	extra      = "1 extra arguments after the mountpoint"
)

// written are command lines, with blanks between their arguments, and our answers.
var written = map[string]string{
	"":                 missing,
	"--":               missing,
	"-u":               missing,
	"-q":               missing,
	"-o ro":            missing,
	"-u m":             notMounted,
	"m -u":             notMounted,
	"-u -- m":          notMounted,
	"-uz m":            notMounted,
	"-zu m":            notMounted,
	"-u -z -- m":       notMounted,
	"--unmount m":      notMounted,
	"-u m --":          notMounted,
	"-u -- -b":         "1 entry for $H/-b not found in /etc/mtab",
	"-u -- --":         "1 entry for $H/-- not found in /etc/mtab",
	"-u -":             "1 entry for $H/- not found in /etc/mtab",
	"-u -o ro m":       notMounted,
	"-uoro m":          notMounted,
	"-uo ro m":         notMounted,
	"-u no/m":          "1 bad mount point no/m: No such file or directory",
	"-uq m":            "1",
	"-quz m":           "1",
	"m --quiet -u":     "1",
	"-q --unmount m n": extra,
	"-u m n":           extra,
	"m n":              extra,
	"m -- -u":          extra,
	"m -- --help":      extra,
	"-u -- -- m":       extra,
	"m -- n":           extra,
	"- -":              extra,
	"-z":               "1 -z can only be used with -u",
	"-z m n":           "1 -z can only be used with -u",
	"--lazy m":         "1 -z can only be used with -u",
	"--la -o ro m":     "1 -z can only be used with -u",
	"m":                noSocket,
	"-":                noSocket,
	"-- -u":            noSocket,
	"-o ro m":          noSocket,
	"-oro m":           noSocket,
	"m -o ro":          noSocket,
	"-o -u m":          noSocket,
	"-ou m":            noSocket,
	"-o -- m":          noSocket,
	"-o -o -o m m":     noSocket,
	"-o -o -o m m n":   extra,
	"-o=ro m":          noSocket,
	"-q m":             noSocket,
	"-V":               "0",
	"--version":        "0",
	"--ver m n":        "0",
	"-Vx":              "0",
	"-V --bogus":       "0",
	"-z m -V":          "0",
	"-oV m":            noSocket,
	"-xV":              "1 invalid option -- 'x'",
	"--bogus -V":       "1 unrecognized option '--bogus'",
	"--version=x":      "1 option '--version' doesn't allow an argument",
	"-f":               "1 invalid option -- 'f'",
	"-uf m":            "1 invalid option -- 'f'",
	"-u -fg m":         "1 invalid option -- 'f'",
	"-u=false m":       "1 invalid option -- '='",
	"-test.v m":        "1 invalid option -- 't'",
	"-W unmount m":     "1 invalid option -- 'W'",
	"-u- m":            "1 invalid option -- '-'",
	"-: m":             "1 invalid option -- ':'",
	"-; m":             "1 invalid option -- ';'",
	"-? m":             "1 invalid option -- '?'",
	"-1 m":             "1 invalid option -- '1'",
	"-o":               "1 option requires an argument -- 'o'",
	"m -o":             "1 option requires an argument -- 'o'",
	"-uo":              "1 option requires an argument -- 'o'",
	"--x m":            "1 unrecognized option '--x'",
	"--x=y m":          "1 unrecognized option '--x=y'",
	"--Unmount m":      "1 unrecognized option '--Unmount'",
	"--unmounted m":    "1 unrecognized option '--unmounted'",
	"---":              "1 unrecognized option '---'",
	"---u m":           "1 unrecognized option '---u'",
	"--u m":            notMounted,
	"--unm --la m":     notMounted,
	"--un --q m":       "1",
	"--unm= m":         "1 option '--unmount' doesn't allow an argument",
	"--lazy=x":         "1 option '--lazy' doesn't allow an argument",
	"--q=yes m":        "1 option '--quiet' doesn't allow an argument",

	// The C helper differs.
	"-h":               "0",
	"--help":           "0",
	"m --hel":          "0",
	"-hV":              "0",
	"-uzqhx":           "0",
	"--features":       "0",
	"--features -V":    "0",
	"--features=text":  "0",
	"--features=mask":  "1 unknown form of --features: 'mask'",
	"--features text":  "0",
	"--options=ro m":   noSocket,
	"--opt ro m":       noSocket,
	"m --options":      "1 option '--options' requires an argument",
	"--auto-unmount":   missing,
	"--auto-unmount=x": "1 option '--auto-unmount' doesn't allow an argument",
	"--sync-init -u m": "1 --sync-init can only be used to mount",
	"--comm-fd 0x3 m":  "1 invalid --comm-fd: 0x3",
	"--comm-fd":        "1 option '--comm-fd' requires an argument",
	"--list=x":         "1 unrecognized option '--list=x'",
	"--check m":        "1 unrecognized option '--check'",
	"--abort m":        "1 unrecognized option '--abort'",
	"--json m":         "1 unrecognized option '--json'",
	"--=": "1 option '--=' is ambiguous; possibilities: '--unmount' '--lazy' '--quiet' '--help' '--version' '--options' " +
		"'--auto-unmount' '--comm-fd' '--sync-init' '--features'",
}

// odd are command lines with an environment, or with arguments that are empty or
// not plain text.
var odd = []commandLine{
	{args: []string{""}, want: "1 invalid mountpoint ''"},
	{args: []string{"-u", ""}, want: "1 invalid mountpoint ''"},
	{args: []string{"-uz", "--", ""}, want: "1 invalid mountpoint ''"},
	{args: []string{"", ""}, want: extra},
	{args: []string{"-z", ""}, want: "1 -z can only be used with -u"},
	{args: []string{"-o", "", "m"}, want: noSocket},
	{args: []string{"-o", ""}, want: missing},
	{args: []string{"-u", "a b"}, want: "1 entry for $H/a b not found in /etc/mtab"},
	{args: []string{"-u", "m/"}, want: notMounted},
	{args: []string{"- "}, want: "1 invalid option -- ' '"},
	{args: []string{"-\u00fc"}, want: "1 invalid option -- '\xc3'"},
	{args: []string{"--\u00fc"}, want: "1 unrecognized option '--\u00fc'"},
	{args: []string{"\u2013u", "m"}, want: extra}, // an en dash
	{args: []string{"--a\033b"}, want: `1 unrecognized option '--a\033b'`},
	{args: []string{"-\033"}, want: `1 invalid option -- '\033'`},
	{args: []string{"m", "-u"}, env: "POSIXLY_CORRECT=1", want: notMounted},
	{args: []string{"m", "-o", "ro"}, env: "POSIXLY_CORRECT=", want: noSocket},
	{args: []string{"-u", "m"}, env: "POSIXLY_CORRECT=1", want: notMounted},
	{args: []string{"m", "-u"}, env: "POSIX_ME_HARDER=1", want: notMounted},
}

// clusters are all clusters of one and two letters, with and without a mountpoint.
func clusters() (all []commandLine) {
	letters := strings.Split("uzqohVx=-", "")
	for _, a := range letters {
		for _, b := range append(letters, "") {
			all = append(all, commandLine{args: []string{"-" + a + b}}, commandLine{args: []string{"-" + a + b, "m"}})
		}
	}
	return all
}

// abbreviations are all prefixes of each long flag, and a longer word.
func abbreviations() (all []commandLine) {
	for _, name := range []string{
		"unmount", "lazy", "quiet", "help", "version", "options", "auto-unmount", "comm-fd", "sync-init", "features",
		"list", "check", "abort", "json",
	} {
		for n := 1; n <= len(name); n++ {
			all = append(all, commandLine{args: []string{"--" + name[:n], "m"}}, commandLine{args: []string{"--" + name[:n] + "=3", "m"}})
		}
		all = append(all, commandLine{args: []string{"--" + name + "x", "m"}})
	}
	return all
}

// pairs are all pairs of these words, with a mountpoint in each place or in none.
func pairs() (all []commandLine) {
	words := []string{"-u", "-z", "-q", "-o", "-oro", "-V", "-x", "--lazy", "--unm", "--", "-", "n"}
	for _, a := range words {
		for _, b := range words {
			all = append(all, commandLine{args: []string{a, b}})
			for i := range 3 {
				all = append(all, commandLine{args: slices.Insert([]string{a, b}, i, "m")})
			}
		}
	}
	return all
}
