package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-fusermount/fusermount/internal/fuseconf"
	"github.com/go-fusermount/fusermount/internal/printable"
)

// Level is how bad a finding is.
type Level string

// The levels. What is at Fail keeps the caller from mounting, or from using what
// is mounted.
const (
	OK   Level = "ok"
	Warn Level = "warn"
	Fail Level = "fail"
)

// Finding is one line of --check.
type Finding struct {
	Level   Level
	Subject string
	Text    string
	Next    string // what to do about it; may be empty
}

func ok(subject, text string) Finding         { return Finding{Level: OK, Subject: subject, Text: text} }
func warn(subject, text, next string) Finding { return Finding{Warn, subject, text, next} }
func fail(subject, text, next string) Finding { return Finding{Fail, subject, text, next} }

// Check judges facts. The order of subjects is that of the package's
// documentation.
func Check(f Facts) []Finding {
	return slices.Concat(
		checkDevice(f.Device),
		checkProgram(f.Program, f.UID),
		checkAround(f.Around),
		checkConf(f.Conf, f.UID),
		checkCount(f),
		checkMounts(f),
		checkPlace(f),
		checkKernel(f.Around),
	)
}

// Failed says whether a finding is at Fail.
func Failed(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Level == Fail })
}

// CheckText is one line for each finding. At a terminal of so many columns one that
// is longer becomes several, between words; the next step has one of its own then,
// which is left whole, since it may be a command. 0 means that lines may have any
// length.
func CheckText(findings []Finding, width int) string {
	subjects := 0
	for _, f := range findings {
		subjects = max(subjects, len(f.Subject))
	}
	var b strings.Builder
	for _, f := range findings {
		head := fmt.Sprintf("%-4s  %-*s  ", f.Level, subjects, f.Subject)
		b.WriteString(head + f.text(width-len(head), len(head)) + "\n")
	}
	return b.String()
}

func (f Finding) text(width, indent int) string {
	text, next := printable.Text(f.Text), ""
	if f.Next != "" {
		next = " -> " + printable.Text(f.Next)
	}
	if width <= 0 || displayWidth(text+next) <= width {
		return text + next
	}
	text = fold(text, width, indent)
	if next != "" {
		text += "\n" + strings.Repeat(" ", indent-1) + next
	}
	return text
}

// fold breaks a text between words into lines of a width, all but the first with
// so many blanks before them.
func fold(text string, width, indent int) string {
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

// CheckJSON is the findings for a program.
func CheckJSON(findings []Finding) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"version":1,"ok":%v,"findings":[`, !Failed(findings))
	for i, f := range findings {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
		o := startObject(&b)
		o.text("level", string(f.Level))
		o.text("subject", f.Subject)
		o.text("text", f.Text)
		o.textIf(f.Next != "", "next", f.Next)
		o.end()
	}
	b.WriteString("\n]}\n")
	return b.String()
}

func checkConf(c Conf, uid uint32) (found []Finding) {
	const subject = "fuse.conf"
	switch {
	case c.Problem != nil && c.Fatal:
		return []Finding{fail(subject, c.Problem.Text, c.Problem.Next)}
	case c.Problem != nil:
		found = append(found, warn(subject, c.Problem.Text+"; the defaults count", c.Problem.Next))
	case c.Absent:
		found = append(found, ok(subject, fuseconf.Path+" is absent: the defaults count"))
	}
	commented := 0
	for _, line := range c.Lines {
		where := fmt.Sprintf("line %d: ", line.Number)
		switch {
		case len(line.Warnings) > 0:
			found = append(found, warn(subject, where+line.Text, strings.Join(line.Warnings, "; ")))
		case line.Setting:
			found = append(found, ok(subject, where+line.Text))
		case line.Commented == "user_allow_other":
			commented = line.Number
		}
	}
	if len(found) == 0 {
		found = append(found, ok(subject, fuseconf.Path+" sets nothing: the defaults count"))
	}
	return append(found, checkAllowOther(c, uid, commented))
}

func checkAllowOther(c Conf, uid uint32, commented int) Finding {
	const subject = "allow_other"
	f := ok(subject, "not for you: a mount with allow_other or allow_root is refused")
	switch {
	case uid == 0:
		return ok(subject, "root may always use it")
	case c.Settings.UserAllowOther:
		return ok(subject, "you may let other users into your mounts")
	case c.Allows:
		f.Next = "the administrator can make " + fuseconf.Path + " root's, and writable for root alone: it has the line user_allow_other already"
	case commented > 0:
		f.Next = fmt.Sprintf("the administrator can take the # off line %d of %s", commented, fuseconf.Path)
	default:
		f.Next = "the administrator can add the line user_allow_other to " + fuseconf.Path
	}
	return f
}

// checkCount judges how many file systems there are.
func checkCount(f Facts) []Finding {
	const subject = "mount_max"
	limit := f.Conf.Settings.MountMax
	used := fmt.Sprintf("%d FUSE file systems are mounted, and %d may be", f.Count, limit)
	next := "unmount what nobody needs, or have mount_max raised in " + fuseconf.Path
	switch {
	case f.Conf.Fatal:
		return nil
	case f.UID == 0 || limit == fuseconf.NoLimit:
		return []Finding{ok(subject, fmt.Sprintf("%d FUSE file systems are mounted, and there is no limit for you", f.Count))}
	case f.Count >= limit:
		return []Finding{fail(subject, used, next)}
	case f.Count >= limit-limit/10:
		return []Finding{warn(subject, used, next)}
	}
	return []Finding{ok(subject, used)}
}
