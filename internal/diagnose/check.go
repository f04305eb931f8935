package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-fusermount/fusermount/internal/printable"
)

// Level is how bad a finding is.
type Level string

// The levels. A Note has a next step and is no problem. A Fail keeps the caller from
// mounting, or from using what is mounted. Unknown says that a source is missing.
const (
	OK           Level = "ok"
	Note         Level = "note"
	Warn         Level = "warn"
	Fail         Level = "fail"
	UnknownLevel Level = "unknown"
)

// Finding is what was found about one subject.
type Finding struct {
	Level   Level
	Subject string
	Text    string
	Next    string // what to do about it; empty at OK
}

func ok(subject, text string) Finding         { return Finding{Level: OK, Subject: subject, Text: text} }
func note(subject, text, next string) Finding { return Finding{Note, subject, text, next} }
func warn(subject, text, next string) Finding { return Finding{Warn, subject, text, next} }
func fail(subject, text, next string) Finding { return Finding{Fail, subject, text, next} }
func unknown(subject, text string) Finding {
	return Finding{Level: UnknownLevel, Subject: subject, Text: text}
}

// Check judges facts: the path first, then the system. Each subject has one finding,
// but for mount, which has one for each mount.
func Check(f Facts) []Finding {
	means := slices.Concat(
		checkDevice(f.Device),
		[]Finding{checkProgram(f.Program, f.Process, f.System), checkPrivilege(f.UID, f.Process)},
		checkSystem(f.System, f.Process),
	)
	return slices.Concat(
		checkPlace(f),
		checkService(f.Service, means),
		checkConf(f.Conf, f.UID),
		checkCount(f),
		checkMounts(f),
		[]Finding{checkKernel(f.System)},
	)
}

// Failed says whether a finding is at Fail.
func Failed(findings []Finding) bool { return count(findings, Fail) > 0 }

func count(findings []Finding, level Level) (n int) {
	for _, f := range findings {
		if f.Level == level {
			n++
		}
	}
	return n
}

// Style is how text is written: for a terminal of so many columns, where 0 means that
// lines may have any length, and with colours or without.
type Style struct {
	Width  int
	Colour bool
}

var colours = map[string]string{
	string(OK): "32", string(Note): "", string(Warn): "33", string(Fail): "31", string(UnknownLevel): "35",
	string(Alive): "32", string(Waiting): "33", string(Hung): "31", string(Dead): "31",
}

func (s Style) paint(text, word string) string {
	if colour := colours[word]; s.Colour && colour != "" {
		return strings.Replace(text, word, "\033["+colour+"m"+word+"\033[0m", 1)
	}
	return text
}

// CheckText writes a line for each finding, folded between words, and a closing line.
func CheckText(findings []Finding, f Facts, style Style) string {
	levels, subjects := 0, 0
	for _, f := range findings {
		levels, subjects = max(levels, len(f.Level)), max(subjects, len(f.Subject))
	}
	var b strings.Builder
	for _, f := range findings {
		head := fmt.Sprintf("%-*s  %-*s  ", levels, f.Level, subjects, f.Subject)
		b.WriteString(style.paint(head, string(f.Level)) + f.body(style.Width-len(head), len(head)) + "\n")
	}
	return b.String() + fold(printable.Text(Closing(findings, f)), style.Width, 0) + "\n"
}

// Closing sums the findings up.
func Closing(findings []Finding, f Facts) string {
	var parts []string
	for _, c := range []struct {
		level     Level
		one, more string
	}{{Fail, "1 problem", "%d problems"}, {Warn, "1 warning", "%d warnings"}, {UnknownLevel, "1 thing unknown", "%d things unknown"}} {
		switch n := count(findings, c.level); {
		case n == 1:
			parts = append(parts, c.one)
		case n > 1:
			parts = append(parts, fmt.Sprintf(c.more, n))
		}
	}
	what := "nothing keeps you from mounting"
	switch p := f.Place; {
	case Failed(findings):
		return strings.Join(parts, ", ")
	case p == nil:
		what += " here"
	case p.Mounted == nil && p.Through == nil:
		what += " at " + p.Path
	default:
		what = "no problem was found"
	}
	if len(parts) > 0 {
		what += " (" + strings.Join(parts, ", ") + ")"
	}
	return what
}

// body is the text and the next step, which has lines of its own where both do not fit
// into one.
func (f Finding) body(width, indent int) string {
	const arrow = "-> "
	text, next := printable.Text(f.Text), ""
	if f.Next != "" {
		next = " " + arrow + printable.Text(f.Next)
	}
	if width <= 0 || displayWidth(text+next) <= width {
		return text + next
	}
	text = fold(text, width, indent)
	if next != "" {
		text += "\n" + strings.Repeat(" ", indent) + arrow + fold(next[1+len(arrow):], width-len(arrow), indent+len(arrow))
	}
	return text
}

// fold breaks a text between words into lines of a width, all but the first with so
// many blanks before them.
func fold(text string, width, indent int) string {
	if width <= 0 {
		return text
	}
	var b strings.Builder
	used := 0
	for i, word := range strings.Split(text, " ") {
		size := displayWidth(word)
		switch {
		case i == 0:
		case used+1+size > width:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			used = 0
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += size
	}
	return b.String()
}
