package helper

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/printable"
	"github.com/go-fusermount/fusermount/internal/rawfile"
	"github.com/go-fusermount/fusermount/internal/signals"
)

// This file alone writes for the caller's eyes. A message is one line on
// standard error, "PROGRAM: text", written at once so that two helpers do not
// mix theirs; a hint is a second one. What a stranger chose (names, options,
// the program's own name) cannot reach a terminal as anything but text.

type reporter struct {
	program string
	muted   bool
	later   string // what is to be written when signals are no longer held
}

func newReporter(argv []string) *reporter {
	if len(argv) == 0 {
		return &reporter{program: "fusermount3"}
	}
	return &reporter{program: printable.Text(argv[0])}
}

// mute stops all messages: the caller asked for it, or standard error is the
// comm socket, where one more byte would break the protocol.
func (r *reporter) mute() { r.muted = true }

func (r *reporter) fail(err error) { r.failHint(err, "") }

func (r *reporter) failHint(err error, hint string) {
	text := r.line(err.Error())
	if hint != "" {
		text += r.line("hint: " + hint)
	}
	r.write(text)
}

// warn tells the caller something, but not while signals are held: standard error may
// be a full pipe, or a file of a daemon that hangs.
func (r *reporter) warn(text string) {
	r.later += r.line(text)
	if !signals.Held() {
		r.flush()
	}
}

// flush writes what had to wait.
func (r *reporter) flush() { r.write("") }

// waits says whether something had to wait.
func (r *reporter) waits() bool { return r.later != "" }

func (r *reporter) line(text string) string {
	return r.program + ": " + printable.Text(text) + "\n"
}

// write tries once: there is nobody to tell if standard error is gone.
func (r *reporter) write(text string) {
	text, r.later = r.later+text, ""
	if !r.muted {
		_ = rawfile.WriteAll(unix.Stderr, text)
	}
}

// print writes to standard output what was asked for.
func (r *reporter) print(text string) error {
	if err := rawfile.WriteAll(unix.Stdout, text); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}
