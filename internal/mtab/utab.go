package mtab

import (
	"strconv"
	"strings"
)

// Record is what the user space tables keep of one of our mounts.
type Record struct {
	ID        uint64 // the mount id that mountinfo uses
	Source    string
	Target    string // the mountpoint as the kernel names it
	Type      string
	Options   string   // what stands in /etc/mtab, comma-separated
	Userspace []string // the x-* options, for utab
}

// utabAdd appends r in the format that libmount reads. The mount's id stands among
// the attributes, which libmount keeps for those who write them: it lets a removal
// find exactly the line of its own mount, whatever source the caller gave it.
//
// Not as ID=: libmount from 2.39 on would go by that alone, and ids are used again.
// A line that stays, since its mount ended without this program, could then give a
// caller's options to a mount of root's.
func utabAdd(text string, r Record) string {
	return terminated(text) + "SRC=" + Escape(r.Source) +
		" TARGET=" + Escape(r.Target) +
		" ROOT=/ ATTRS=" + utabMark(r) +
		" OPTS=" + Escape(strings.Join(r.Userspace, ",")) + "\n"
}

func utabMark(r Record) string { return "fusermount.id=" + strconv.FormatUint(r.ID, 10) }

// utabRemove takes out the line that utabAdd wrote for this mount. A line of
// the same target that somebody else wrote, for a mount below or above, stays.
func utabRemove(text string, r Record) (changed string, found bool) {
	return withoutLast(text, func(line string) bool {
		l := parseUtab(line)
		return l["ATTRS"] == utabMark(r) && l["TARGET"] == r.Target
	})
}

// parseUtab gives the fields of a line by name.
func parseUtab(line string) map[string]string {
	fields := map[string]string{}
	for field := range strings.FieldsFuncSeq(line, separator) {
		name, value, _ := strings.Cut(field, "=")
		fields[name] = Unescape(value)
	}
	return fields
}

// mtabAdd appends r to the text of an /etc/mtab that is a regular file (fstab(5)).
func mtabAdd(text string, r Record) string {
	return terminated(text) + strings.Join([]string{
		Escape(r.Source), Escape(r.Target), Escape(r.Type), Escape(r.Options), "0", "0",
	}, " ") + "\n"
}

// mtabRemove takes out the newest line with r's target and type that carries
// r's options: they name the owner.
func mtabRemove(text string, r Record) (changed string, found bool) {
	return withoutLast(text, func(line string) bool {
		f := strings.FieldsFunc(line, separator)
		return len(f) >= 4 && Unescape(f[1]) == r.Target &&
			Unescape(f[2]) == r.Type && hasOwner(Unescape(f[3]), r)
	})
}

// separator says what stands between two fields: blanks and tabs alone. Other
// white space is part of a name.
func separator(r rune) bool { return r == ' ' || r == '\t' }

func hasOwner(options string, r Record) bool {
	want, ok := Entry{SuperOptions: r.Options}.Owner()
	got, has := Entry{SuperOptions: options}.Owner()
	return ok && has && got == want
}

// withoutLast removes the last line for which match holds, and keeps every
// other byte as it is.
func withoutLast(text string, match func(line string) bool) (string, bool) {
	end := len(text)
	for end > 0 {
		start := strings.LastIndexByte(text[:end-1], '\n') + 1
		if match(strings.TrimSuffix(text[start:end], "\n")) {
			return text[:start] + text[end:], true
		}
		end = start
	}
	return text, false
}

// terminated makes sure that what is appended begins a line of its own.
func terminated(text string) string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		return text + "\n"
	}
	return text
}
