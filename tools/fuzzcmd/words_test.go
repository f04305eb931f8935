package fuzzcmd

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// wantWords wants one error, and a hint at most, each with the program's name.
func (w *world) wantWords(c *call, r result) {
	w.Helper()
	if c.noisy || (c.early && !r.ok()) {
		return // the runtime speaks, too
	}
	name := c.Prog
	if c.Argv != nil {
		name = strings.Join(c.Argv[:min(1, len(c.Argv))], "")
	}
	if name == "" && strings.HasPrefix(r.Stderr, "fusermount3: ") {
		name = "fusermount3" // before Linux 5.18 there may be no argv[0] at all
	}
	prefix := shown(name) + ": "
	errors, hints := 0, 0
	for line := range strings.Lines(r.Stderr) {
		text, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), prefix)
		switch {
		case !ok || !strings.HasSuffix(line, "\n") || shown(text) != text:
			w.Fatalf("not a message: %q", line)
		case strings.HasPrefix(text, "hint: "):
			hints++
		case !isNotice(text):
			errors++
		case strings.HasPrefix(text, "warning: ") && !c.broken && !c.early && !strings.Contains(text, "too large"):
			w.Fatalf("warns for no reason: %q", line)
		}
	}
	unheard := slices.Contains(c.CloseFDs, 2) || c.CommFD == 2 || c.CommFD == 1 || c.quiet || c.kind == garbage || c.broken
	if r.ok() && errors+hints > 0 && !c.broken {
		w.Fatalf("a success says %q", r.Stderr)
	}
	if !r.ok() && (errors > 1 || hints > errors || (errors == 0 && !unheard)) {
		w.Fatalf("exit %d says %q", r.Exit, r.Stderr)
	}
}

// isNotice says whether a line is no error of the call itself.
func isNotice(text string) bool {
	return slices.ContainsFunc([]string{
		"unsafe option ", "option large_read is obsolete", "warning: ", "reading /etc/fuse.conf", "/etc/fuse.conf ignored",
		"unknown parameter in /etc/fuse.conf", "mount_max is ", "failed to open /etc/fuse.conf: Permission denied",
	}, func(prefix string) bool { return strings.HasPrefix(text, prefix) })
}

// shown is how a stranger's text must appear.
func shown(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		control := r < 0x20 || (r >= 0x7f && r < 0xa0) || (r == utf8.RuneError && size == 1 && text[i] < 0xa0)
		for _, c := range []byte(text[i : i+size]) {
			if control {
				fmt.Fprintf(&b, `\%03o`, c)
			} else {
				b.WriteByte(c)
			}
		}
		i += size
	}
	return b.String()
}
