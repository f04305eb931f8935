package diagnose

import (
	"encoding/hex"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-fusermount/fusermount/internal/printable"
)

// A writer of JSON of its own, since encoding/json adds a tenth to the size of a
// setuid program for two documents, and would hide that a name is no UTF-8.

// object is a JSON object that is being written.
type object struct {
	b     *strings.Builder
	begun bool
}

func startObject(b *strings.Builder) *object {
	b.WriteByte('{')
	return &object{b: b}
}

func (o *object) end() { o.b.WriteByte('}') }

func (o *object) name(name string) {
	if o.begun {
		o.b.WriteByte(',')
	}
	o.begun = true
	o.b.WriteString(quote(name) + ":")
}

func (o *object) text(name, value string) {
	o.name(name)
	o.b.WriteString(quote(value))
	if !utf8.ValidString(value) {
		o.name(name + "_hex")
		o.b.WriteString(quote(hex.EncodeToString([]byte(value))))
	}
}

func (o *object) textIf(known bool, name, value string) {
	if known {
		o.text(name, value)
		return
	}
	o.null(name)
}

func (o *object) numberIf(known bool, name string, n uint64) {
	if known {
		o.name(name)
		o.b.WriteString(strconv.FormatUint(n, 10))
		return
	}
	o.null(name)
}

func (o *object) null(name string) {
	o.name(name)
	o.b.WriteString("null")
}

func (o *object) texts(name string, values []string) {
	o.name(name)
	o.b.WriteByte('[')
	for i, v := range values {
		if i > 0 {
			o.b.WriteByte(',')
		}
		o.b.WriteString(quote(v))
	}
	o.b.WriteByte(']')
}

// quote writes a JSON string (RFC 8259). What could drive a terminal, or make it show
// other text, is escaped, too.
func quote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text { // a wrong byte is U+FFFD
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case printable.Misleads(r):
			const digits = "0123456789abcdef"
			b.WriteString(`\u`)
			for shift := 12; shift >= 0; shift -= 4 {
				b.WriteByte(digits[r>>shift&0xf])
			}
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
