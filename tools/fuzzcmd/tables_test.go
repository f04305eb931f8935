package fuzzcmd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// tables are the two of user space, by path; an absent one, or a link, is not
// among them.
type tables map[string]string

func (w *world) readTables() tables {
	w.Helper()
	all := tables{}
	for _, path := range []string{"/run/mount/utab", "/etc/mtab"} {
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
			continue
		}
		if st.Uid != 0 || st.Gid != 0 || st.Mode&0o7777 != 0o644 {
			w.Fatalf("%s belongs to %d:%d and has mode %o", path, st.Uid, st.Gid, st.Mode)
		}
		text, err := os.ReadFile(path)
		w.check(err)
		all[path] = string(text)
	}
	return all
}

// wantTables wants every table to be what it was but for one line, of the
// mount that came or went at this path. It says how many have changed.
func (w *world) wantTables(change int, path string) (changed int) {
	w.Helper()
	now := w.readTables()
	for name, before := range w.tables {
		text, there := now[name]
		if !there {
			w.Fatalf("%s is gone", name)
		}
		if text == before || (change == 0 && text == before+"\n") { // a line came and went
			continue
		}
		changed++
		longer, shorter := text, before
		if change < 0 {
			longer, shorter = before, text
		}
		line, ok := extraLine(longer, shorter)
		if change == 0 || !ok || !strings.Contains(line, escaped(path)+" ") {
			w.Fatalf("%s was %q and is %q; what came or went (%d) was at %q", name, before, text, change, path)
		}
	}
	w.tables = now
	return changed
}

// extraLine gives the one line that longer has and shorter lacks.
func extraLine(longer, shorter string) (line string, ok bool) {
	if shorter != "" && !strings.HasSuffix(shorter, "\n") && len(longer) > len(shorter) && longer[len(shorter)] == '\n' {
		shorter += "\n" // a line was begun anew
	}
	lines := strings.SplitAfter(longer, "\n")
	for i := range lines {
		if strings.Join(lines[:i], "")+strings.Join(lines[i+1:], "") == shorter {
			return lines[i], true
		}
	}
	return "", false
}

// escaped writes a path as a field of a table.
func escaped(path string) string {
	return strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`, "#", `\043`).Replace(path)
}

// wantNoRests wants no lock or temporary file of a table to be left.
func (w *world) wantNoRests() {
	w.Helper()
	for _, pattern := range []string{"/run/mount/*", "/etc/mtab?*"} {
		names, err := filepath.Glob(pattern)
		w.check(err)
		for _, name := range names {
			if name != "/run/mount/utab" && name != "/run/mount/utab.lock" {
				w.Fatalf("left behind: %s", name)
			}
		}
	}
	if _, err := os.Lstat("/etc/mtab"); errors.Is(err, fs.ErrNotExist) {
		w.Fatal("/etc/mtab is gone")
	}
}
