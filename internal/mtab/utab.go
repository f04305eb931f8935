package mtab

import (
	"strconv"
	"strings"
)

// Record is what the tables of user space keep of one of our mounts.
type Record struct {
	ID        uint64 // the mount id that mountinfo uses
	Source    string
	Target    string // the mountpoint as the kernel names it
	Type      string
	Options   string   // for /etc/mtab, comma-separated
	Userspace []string // the x-* options, for utab
}

// utabAdd appends r in libmount's format. The mount's id is among the attributes, which
// libmount keeps for others: by it a removal finds the line of its own mount, whatever
// source the caller gave.
//
// It is not an ID= field: libmount from 2.39 on would go by that alone, and ids are
// reused. A line of a mount that ended without this program could then give a caller's
// options to a mount of root's.
func utabAdd(text string, r Record) string {
	return terminated(text) + "SRC=" + Escape(r.Source) +
		" TARGET=" + Escape(r.Target) +
		" ROOT=/ ATTRS=" + utabMark(r) +
		" OPTS=" + Escape(strings.Join(r.Userspace, ",")) + "\n"
}

func utabMark(r Record) string { return "fusermount.id=" + strconv.FormatUint(r.ID, 10) }

// utabRemove removes the line that utabAdd wrote for this mount. Another program's line
// of the same target, for a mount below or above, stays.
func utabRemove(text string, r Record) string {
	return withoutLast(text, func(line string) bool {
		fields := map[string]string{}
		for field := range strings.FieldsFuncSeq(line, separator) {
			name, value, _ := strings.Cut(field, "=")
			fields[name] = Unescape(value)
		}
		return fields["ATTRS"] == utabMark(r) && fields["TARGET"] == r.Target
	})
}

// mtabAdd appends r to the text of /etc/mtab (fstab(5)).
func mtabAdd(text string, r Record) string {
	return terminated(text) + strings.Join([]string{
		Escape(r.Source), Escape(r.Target), Escape(r.Type), Escape(r.Options), "0", "0",
	}, " ") + "\n"
}

// mtabRemove removes the newest line with r's target, type and owner.
func mtabRemove(text string, r Record) string {
	owner, ok := Entry{SuperOptions: r.Options}.Owner()
	return withoutLast(text, func(line string) bool {
		f := strings.FieldsFunc(line, separator)
		if !ok || len(f) < 4 || Unescape(f[1]) != r.Target || Unescape(f[2]) != r.Type {
			return false
		}
		got, has := Entry{SuperOptions: Unescape(f[3])}.Owner()
		return has && got == owner
	})
}

// separator says what separates fields: blanks and tabs. Other white space is part of a
// name.
func separator(r rune) bool { return r == ' ' || r == '\t' }

// withoutLast removes the last line for which match holds, and keeps every other byte.
func withoutLast(text string, match func(line string) bool) string {
	end := len(text)
	for end > 0 {
		start := strings.LastIndexByte(text[:end-1], '\n') + 1
		if match(strings.TrimSuffix(text[start:end], "\n")) {
			return text[:start] + text[end:]
		}
		end = start
	}
	return text
}

// terminated makes sure that what is appended begins a line of its own.
func terminated(text string) string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		return text + "\n"
	}
	return text
}

// escaper writes bytes as a backslash and three octal digits. Kernels since 6.1 write the
// last one, too; libmount reads it.
var escaper = strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`, "#", `\043`)

// Escape writes s as one field of a table.
func Escape(s string) string { return escaper.Replace(s) }

// Unescape reads a field that Escape or the kernel wrote. What is no escape stays.
func Unescape(s string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, `\`)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		s = after
		digits := s[:min(3, len(s))]
		if n, err := strconv.ParseUint(digits, 8, 8); err == nil && len(digits) == 3 {
			b.WriteByte(byte(n))
			s = s[3:]
		} else {
			b.WriteByte('\\')
		}
	}
}
