package cmdline

import (
	"bytes"
	"errors"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// tables are flags for which the scanner is compared with glibc's getopt_long. All
// pairs of the words are tried, alone and followed by a flag.
var tables = map[string]struct {
	flags []Flag
	words []string
}{
	"ours": {Flags, []string{
		"-u", "-uz", "-o", "-oro", "-qo", "-ux", "-u-", "-", "--", "---", "--u", "--opt", "--comm-fd=", "--feat", "--fe=text",
		"--lazy=x", "--=", "--nosuch", "m", "",
	}},
	"ambiguous": {[]Flag{
		{Long: "ab"},
		{Long: "abc", Short: 'a', operand: required},
		{Long: "abcde", operand: optional},
		{Long: "b-b", Short: 'b'},
		{Long: "b-"},
		{Long: "B"},
	}, []string{
		"-a", "-b", "-ba", "-ab", "--a", "--ab", "--ab=1", "--abc", "--abcd", "--abcd=2", "--abcde", "--b", "--b=3", "--b-", "--b-b",
		"--B", "--=4", "--", `it's\`,
	}},
}

// getopt(1) of util-linux calls getopt_long and prints the result.
func TestAgainstGetopt(t *testing.T) {
	said, _ := exec.Command("getopt", "-n", "x", "-o", "", "--", "-f").CombinedOutput()
	if !strings.HasPrefix(string(said), "x: invalid option -- 'f'\n") {
		fusetest.Skip(t, "install getopt(1) of util-linux, built with glibc")
	}
	for name, table := range tables {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flags := split(table.flags)
			for _, first := range table.words {
				for _, second := range table.words {
					compareWithGetopt(t, flags, []string{first, second})
					compareWithGetopt(t, flags, []string{first, second, "-b"})
				}
			}
		})
	}
}

// split makes two flags of one with two names: getopt(1) prints the one that was
// used.
func split(flags []Flag) (all []Flag) {
	for _, f := range flags {
		all = append(all, Flag{Long: f.Long, operand: f.operand})
		if f.Short != 0 {
			all = append(all, Flag{Long: noName + string(rune(f.Short)), Short: f.Short, operand: f.operand})
		}
	}
	return all
}

// noName starts the name of a flag without a long name. No argument contains it.
const noName = "\x00"

// nameless are such flags where a message lists what a prefix may stand for.
var nameless = regexp.MustCompile(" '--" + noName + ".'")

func compareWithGetopt(t *testing.T, flags []Flag, args []string) {
	t.Helper()
	short, long := spelledForGetopt(flags)
	cmd := exec.Command("getopt", slices.Concat([]string{"-n", "x", "-o", short, "-l", long, "--"}, args)...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	var out, message bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &message
	failed := cmd.Run()
	got, err := normalized(flags, args)
	switch first, _, _ := strings.Cut(message.String(), "\n"); {
	case err != nil && "x: "+err.Error() != first:
		t.Errorf("%q: %q, and getopt says %q", args, err, first)
	case err == nil && failed != nil:
		t.Errorf("%q is taken as %s, and getopt says %v: %q", args, got, failed, first)
	case err == nil && got != out.String():
		t.Errorf("%q is taken as %s, and by getopt as %s", args, got, out.String())
	}
}

func spelledForGetopt(flags []Flag) (short, long string) {
	for _, f := range flags {
		colons := [...]string{none: "", required: ":", optional: "::"}[f.operand]
		if letter, ok := strings.CutPrefix(f.Long, noName); ok {
			short += letter + colons
		} else {
			long += f.Long + colons + ","
		}
	}
	return short, strings.TrimSuffix(long, ",")
}

// normalized prints a command line as getopt(1) does.
func normalized(flags []Flag, args []string) (string, error) {
	var b strings.Builder
	s := scanner{flags: flags, args: args}
	for {
		g, err := s.next()
		if err != nil {
			return "", errors.New(nameless.ReplaceAllString(err.Error(), ""))
		}
		if g.Long == "" {
			break
		}
		b.WriteString(" -" + strings.TrimPrefix("-"+g.Long, "-"+noName))
		if g.operand != none {
			b.WriteString(" " + quoted(g.value))
		}
	}
	b.WriteString(" --")
	for _, arg := range s.positional {
		b.WriteString(" " + quoted(arg))
	}
	return b.String() + "\n", nil
}

func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
