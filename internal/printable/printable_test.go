package printable

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		"":              "",
		"a b\\c":        `a b\c`,
		"\x1b]0;x\a\n":  `\033]0;x\007\012`,
		"é\u0085\u009b": `é\302\205\302\233`,
		"\x85\x9b\xa0":  "\\205\\233\xa0", // not UTF-8: bytes that a terminal may know
		"\x7f\x00":      `\177\000`,
		"a\u202ebidi":   `a\342\200\256bidi`,
		"\u2028\u2029":  `\342\200\250\342\200\251`,
		"\u2066\u2069":  `\342\201\246\342\201\251`,
		"\u200e\u061c":  `\342\200\216\330\234`,
		"\u200d\u2027":  "\u200d\u2027", // no change of direction
		"\xff\xc3":      "\xff\xc3",
		"\xc2":          "\xc2",
	} {
		if got := Text(text); got != want {
			t.Errorf("Text(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestShellWord(t *testing.T) {
	for name, want := range map[string]string{
		"/mnt/a-b_c.d":        "/mnt/a-b_c.d",
		"/mnt/\u00e9":         "/mnt/\u00e9",
		"":                    "''",
		"/mnt/a b":            "'/mnt/a b'",
		"it's":                `'it'\''s'`,
		"$(x)":                "'$(x)'",
		"/esc\x1b[31mred":     `$'/esc\033[31mred'`,
		"a\n'b\\":             `$'a\012\'b\\'`,
		"\x85":                `$'\205'`,
		"a\u202eb":            `$'a\342\200\256b'`,
		"\xff":                "'\xff'",
		"/proc/1/(deleted)~*": "'/proc/1/(deleted)~*'",
	} {
		if got := ShellWord(name); got != want {
			t.Errorf("ShellWord(%q) = %s, want %s", name, got, want)
		}
	}
}

var octal = regexp.MustCompile(`\\[0-3][0-7]{2}`)

// FuzzText checks that nothing is left that controls a terminal or ends a line, and that
// nothing else changes.
func FuzzText(f *testing.F) {
	f.Add("\x1b[2J\n\u009b\x9bé")
	f.Add("a\u202ebidi\u2069\u200f\u2028")
	const leads = "\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
	f.Fuzz(func(t *testing.T, text string) {
		got := Text(text)
		if len(got) > 4*len(text) {
			t.Fatalf("Text(%q) has %d bytes", text, len(got))
		}
		for i := 0; i < len(got); {
			r, size := utf8.DecodeRuneInString(got[i:])
			raw := r == utf8.RuneError && size == 1
			if r < 0x20 || (r >= 0x7f && r < 0xa0) || (raw && got[i] < 0xa0) || strings.ContainsRune(leads, r) {
				t.Fatalf("Text(%q) = %q", text, got)
			}
			i += size
		}
		if Text(got) != got {
			t.Fatalf("Text(%q) = %q, and that becomes %q", text, got, Text(got))
		}
		if strings.Contains(text, `\`) {
			return // what stood there before looks like an escape
		}
		back := octal.ReplaceAllStringFunc(got, func(e string) string {
			n, err := strconv.ParseUint(e[1:], 8, 8)
			if err != nil {
				t.Fatal(err)
			}
			return string([]byte{byte(n)})
		})
		if back != text {
			t.Fatalf("Text(%q) = %q, which reads %q", text, got, back)
		}
	})
}
