// Command fusectl lists FUSE mounts, says what is wrong with them or with mounting,
// and ends the connection of a mount that hangs. It is a user of package fusermount,
// has no privileges of its own, and never runs with any.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/diagnose"
	"github.com/go-fusermount/fusermount/internal/printable"
	"github.com/go-fusermount/fusermount/internal/secure"
)

// version is set by the linker, from git.
var version = "development"

// Exit statuses.
const (
	exitProblem = 1 // a problem was found, or nothing to list, or it failed
	exitUsage   = 2
)

const usage = `usage: fusectl list [--json] [PATH...]
       fusectl check [--json] [PATH]
       fusectl abort PATH

list   lists the FUSE mounts, or those in which PATHs lie, and whether their
       daemons answer
check  says what is wrong with the mount at PATH, or what would keep you from
       mounting there
abort  ends the connection of the FUSE mount at PATH, whose daemon hangs, and
       unmounts it; what was not yet written is lost

      --json      for programs: print JSON
  -V, --version   print the version
  -h, --help      print this text

Exit status: 0, or 1 if there is a problem or nothing to list, or 2 if the command
line cannot be read. Columns, states, findings and the JSON: fusectl(1).
`

// usageError is a command line that cannot be read.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

// errProblem is a problem that was printed already.
var errProblem = errors.New("a problem was found")

// hintedError is an error and what to do about it.
type hintedError struct {
	error
	hint string
}

func (e *hintedError) Unwrap() error { return e.error }

func main() {
	if secure.Execution() {
		complain("it runs with more rights than its user has: take the set-user-ID and set-group-ID bits and file capabilities from it")
		os.Exit(exitProblem)
	}
	os.Exit(status(run(os.Args[1:])))
}

// status reports an error, and gives the exit status for it.
func status(err error) int {
	var misused *usageError
	var hinted *hintedError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errProblem):
		return exitProblem
	case errors.As(err, &misused):
		complain(err.Error() + "; see 'fusectl --help'")
		return exitUsage
	}
	complain(err.Error())
	if errors.As(err, &hinted) && hinted.hint != "" {
		complain("hint: " + hinted.hint)
	}
	return exitProblem
}

// complain writes a line to standard error. There is nowhere to report that it failed.
func complain(text string) { _, _ = fmt.Fprintf(os.Stderr, "fusectl: %s\n", printable.Text(text)) }

func run(args []string) error {
	flags := pflag.NewFlagSet("fusectl", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	asJSON := flags.Bool("json", false, "")
	help := flags.BoolP("help", "h", false, "")
	showVersion := flags.BoolP("version", "V", false, "")
	if err := flags.Parse(args); err != nil {
		return &usageError{err.Error()}
	}
	switch {
	case *help:
		return output(usage)
	case *showVersion:
		return output("fusectl " + version + "\n")
	case flags.NArg() == 0:
		return &usageError{"missing command: list, check or abort"}
	}
	command, paths := flags.Arg(0), flags.Args()[1:]
	for _, path := range paths {
		if path == "" {
			return &usageError{"invalid path ''"}
		}
	}
	switch command {
	case "list":
		return list(paths, *asJSON)
	case "check":
		if len(paths) > 1 {
			return &usageError{"check takes one path"}
		}
		return check(paths, *asJSON)
	case "abort":
		if len(paths) != 1 {
			return &usageError{"abort takes one path"}
		}
		if *asJSON {
			return &usageError{"abort has no --json"}
		}
		return abort(paths[0])
	}
	return &usageError{fmt.Sprintf("unknown command '%s': list, check or abort", command)}
}

func output(text string) error {
	if _, err := io.WriteString(os.Stdout, text); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}

// style is that of standard output. A variable that is set, and not empty, switches
// colours off (no-color.org).
func style() diagnose.Style {
	size, err := unix.IoctlGetWinsize(int(os.Stdout.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return diagnose.Style{}
	}
	term := os.Getenv("TERM")
	return diagnose.Style{Width: int(size.Col), Colour: os.Getenv("NO_COLOR") == "" && term != "" && term != "dumb"}
}
