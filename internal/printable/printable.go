// Package printable makes a stranger's text harmless for a terminal and a log. It is pure.
package printable

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Misleads says whether a character could make a terminal show other text than there is:
// control characters, those that change the direction of text, and ends of lines.
func Misleads(r rune) bool {
	return unicode.IsControl(r) || r == 0xfeff || r == 0x061c || r == 0x200e || r == 0x200f ||
		r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// Text escapes the bytes of characters that mislead as \ooo, and those that a terminal
// could take for Unicode's second control block. Names need not be UTF-8: other bytes stay.
func Text(text string) string {
	var escaped []byte // of text[:done]
	done := 0
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		bad := Misleads(r)
		if r == utf8.RuneError && size == 1 {
			bad = text[i] < 0xa0
		}
		if bad {
			escaped = append(escaped, text[done:i]...)
			for _, c := range []byte(text[i : i+size]) {
				escaped = fmt.Appendf(escaped, `\%03o`, c)
			}
			done = i + size
		}
		i += size
	}
	if done == 0 {
		return text
	}
	return string(append(escaped, text[done:]...))
}

// ShellWord writes a name as one word for a shell: as it is, in single quotes, or in $'...'
// where Text would escape a character.
func ShellWord(name string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
			strings.ContainsRune("/._-+:@%,=", r) || r > 0xa0 && r != utf8.RuneError
	}
	switch safe := Text(name); {
	case name != "" && safe == name && strings.TrimFunc(name, plain) == "":
		return name
	case safe == name:
		return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
	}
	return "$'" + Text(strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(name)) + "'"
}
