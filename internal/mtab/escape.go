package mtab

import "strings"

// escaped are the bytes that the tables write as a backslash and three octal
// digits. The last is written by kernels since 6.1; libmount reads it, too.
const escaped = " \t\n\\#"

const octal = "01234567"

// Escape writes s as one field of a table.
func Escape(s string) string {
	if !strings.ContainsAny(s, escaped) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if strings.IndexByte(escaped, c) < 0 {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'\\', octal[c>>6], octal[c>>3&7], octal[c&7]})
	}
	return b.String()
}

// Unescape reads a field that Escape or the kernel wrote. What is no escape
// stands for itself.
func Unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c, ok := octalByte(s[i:]); ok {
			b.WriteByte(c)
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func octalByte(s string) (byte, bool) {
	if len(s) < 4 || s[0] != '\\' {
		return 0, false
	}
	var n int
	for _, c := range []byte(s[1:4]) {
		if c < '0' || c > '7' {
			return 0, false
		}
		n = n<<3 | int(c-'0')
	}
	return byte(n), n <= 0xff
}
