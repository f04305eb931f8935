package conformance

import (
	_ "embed"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// commandLine is a call by an ordinary user in a directory of their own. It has no
// socket, so nothing is ever mounted.
type commandLine struct {
	args []string
	env  string
	want string // our exit status and first message; empty if only compared
}

func (c commandLine) String() string { return strings.TrimSpace(fmt.Sprintf("%s %q", c.env, c.args)) }

// difference is a row of COMPAT.md, and how to recognize it.
type difference struct {
	row  string
	seen func(c commandLine, ours, reference outcome) bool
}

// differences are all that are allowed. Each has to occur.
var differences = []difference{
	{"help-exit", func(_ commandLine, ours, reference outcome) bool {
		return ours == outcome{exit: 0} && reference == outcome{exit: 1}
	}},
	{"features", lacks("features")},
	{"comm-fd-flag", lacks("comm-fd")},
	{"long-flags", lacks("options", "auto-unmount", "sync-init")},
	{"long-flags", func(_ commandLine, ours, reference outcome) bool { // more possibilities for --=
		return strings.Contains(reference.message, "is ambiguous") && strings.HasPrefix(ours.message, reference.message)
	}},
	{"posixly-correct", func(c commandLine, _, reference outcome) bool {
		return c.env != "" && reference.message == "extra arguments after the mountpoint"
	}},
	{"escaped-messages", func(_ commandLine, ours, reference outcome) bool {
		return strings.ReplaceAll(ours.message, `\033`, "\033") == reference.message
	}},
}

// lacks reports that the C helper does not know one of these flags, or an
// abbreviation of it.
func lacks(flags ...string) func(commandLine, outcome, outcome) bool {
	return func(_ commandLine, _, reference outcome) bool {
		name, ok := strings.CutPrefix(reference.message, "unrecognized option '--")
		name, _, _ = strings.Cut(strings.TrimSuffix(name, "'"), "=")
		return ok && name != "" && slices.ContainsFunc(flags, func(flag string) bool { return strings.HasPrefix(flag, name) })
	}
}

// outcome is the result of a call.
type outcome struct {
	exit    int
	message string // the first line, without the program's name
}

func (o outcome) String() string { return strings.TrimSpace(fmt.Sprintf("%d %s", o.exit, o.message)) }

// bench runs command lines.
type bench struct {
	*testing.T
	dir string // has a directory m, where nothing is mounted
}

func newBench(t *testing.T) *bench {
	t.Helper()
	fusetest.NeedRoot(t)
	fusetest.NeedDevice(t)
	addUsers(t)
	dir := fusetest.Dir(t, alice)
	must(t, os.Mkdir(dir+"/m", 0o755))
	must(t, os.Chown(dir+"/m", alice, alice))
	return &bench{t, dir}
}

func (b *bench) try(program string, c commandLine) outcome {
	b.Helper()
	call := helpertest.Call{Prog: program, UID: alice, GID: alice, Dir: b.dir, Socket: helpertest.NoSocket, Args: c.args}
	if c.env != "" {
		call.Env = []string{c.env}
	}
	r := run(b.T, call)
	if r.Signal != 0 || r.Exit != 0 && r.Exit != 1 {
		b.Errorf("%v: exit %d, signal %v: %s", c, r.Exit, r.Signal, r.Stderr)
	}
	first, _, _ := strings.Cut(r.Stderr, "\n")
	message, ok := strings.CutPrefix(first, program+": ")
	if !ok && r.Stderr != "" {
		b.Errorf("%v: a message without the program's name: %q", c, r.Stderr)
	}
	return outcome{r.Exit, strings.ReplaceAll(message, b.dir, "$H")}
}

// TestCommandLines holds our answer to each command line to testdata/commandlines.txt,
// which -update writes, and to the table where it has one.
func TestCommandLines(t *testing.T) {
	b := newBench(t)
	program := helpertest.Install(t)
	before := len(fusetest.Mountinfo(t))
	var answers []string
	for _, c := range commandLines() {
		got := b.try(program, c).String()
		if c.want != "" && got != c.want {
			t.Errorf("%v:\n got %q\nwant %q", c, got, c.want)
		}
		answers = append(answers, fmt.Sprintf("%v: %s\n", c, got))
	}
	wantAnswers(t, slices.Compact(answers))
	if after := len(fusetest.Mountinfo(t)); after != before {
		t.Errorf("%d mounts before, %d after", before, after)
	}
}

var update = flag.Bool("update", false, "write the files that the tests would compare")

const answersFile = "testdata/commandlines.txt"

// knownAnswers is embedded, since the tests also run without the source tree.
//
//go:embed testdata/commandlines.txt
var knownAnswers string

// wantAnswers compares the answers with the known ones.
func wantAnswers(t *testing.T, got []string) {
	t.Helper()
	if *update {
		must(t, os.WriteFile(answersFile, []byte(strings.Join(got, "")), 0o644))
		return
	}
	want := slices.Collect(strings.Lines(knownAnswers))
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("not in %s: %s", answersFile, line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("only in %s: %s", answersFile, line)
		}
	}
}

// The C helper answers each command line in the same way, except for the rows of
// COMPAT.md.
func TestReferenceCommandLines(t *testing.T) {
	reference := os.Getenv("FUSERMOUNT_REFERENCE")
	if reference == "" {
		t.Skip("compares with the C helper: run 'make test-reference'")
	}
	b := newBench(t)
	program := helpertest.Install(t)
	reference = fusetest.InstallHelper(t, reference, fusetest.Setuid)
	shown := make([]int, len(differences))
	all := commandLines()
	for _, c := range all {
		ours, theirs := b.try(program, c), b.try(reference, c)
		if ours == theirs {
			continue
		}
		i := slices.IndexFunc(differences, func(d difference) bool { return d.seen(c, ours, theirs) })
		if i < 0 {
			t.Errorf("%v:\nwe have       %q\nthe C helper  %q", c, ours, theirs)
			continue
		}
		shown[i]++
	}
	t.Logf("%d command lines, the differences are shown by %v of them", len(all), shown)
	for i, d := range differences {
		if shown[i] == 0 {
			t.Errorf("difference %d (%s) does not occur", i, d.row)
		}
	}
	if len(all) < 400 {
		t.Errorf("only %d command lines", len(all))
	}
}
