// Package printable makes text of a stranger's harmless for a terminal and for
// a line of a log. It is pure.
package printable

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text escapes control characters as \ooo, those of Unicode's second
// control block and bytes that a terminal could take for it included. Other
// bytes stay: names need not be UTF-8.
func Text(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		bad := unicode.IsControl(r)
		if r == utf8.RuneError && size == 1 {
			bad = text[i] < 0xa0
		}
		for _, c := range []byte(text[i : i+size]) {
			if bad {
				fmt.Fprintf(&b, `\%03o`, c)
			} else {
				b.WriteByte(c)
			}
		}
		i += size
	}
	return b.String()
}
