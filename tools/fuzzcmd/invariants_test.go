package fuzzcmd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// judge checks what must be true after each call.
func (w *world) judge(c *call, r result) {
	w.Helper()
	if r.Exit == 2 && c.threadless() {
		c.early, c.sure, c.broken = true, false, true
	}
	now := w.mountTable()
	came, went := without(now, w.lines), without(w.lines, now)
	w.lines = now
	w.wantStatus(c, r)
	w.wantWords(c, r)
	w.wantTable(c, r, came, went)
	if r.watching {
		last := w.watchers[len(w.watchers)-1]
		last.birth = w.births[last.path]
		last.line, _ = fusetest.FindMount(w.T, last.path)
	}
	w.wantDone(c, r, len(came), len(went))
	w.wantRecords(c, r, came, went)
	if r.Dev != nil && len(came) == 1 && c.want.auto { // a daemon that lives until the end
		w.daemons[came[0].Mountpoint] = r.Dev
	} else if r.Dev != nil {
		w.check(r.Dev.Close())
	}
}

// wantTable wants at most one new mount, or some of alice's gone, and no change after a
// failure.
func (w *world) wantTable(c *call, r result, came, went []fusetest.Line) {
	w.Helper()
	kept := c.broken && (strings.Contains(r.Stderr, "could not be taken back") || r.NFDs == 1 || r.Exit == 2)
	switch {
	case len(came) > 1:
		w.Fatalf("%d mounts at once: %+v", len(came), came)
	case len(came) == 1 && !r.ok() && !kept:
		w.Fatalf("a failure has mounted %+v", came)
	case len(went) > 0 && (len(came) > 0 || !r.ok()):
		w.Fatalf("%+v has gone, %+v has come", went, came)
	case len(went) > 1 && !c.lazy && c.kind != garbage:
		w.Fatalf("one call took %+v", went)
	case r.ok() && r.NFDs > 0 && len(came) == 0 && !c.peer.close:
		w.Fatal("a device and no mount")
	}
	for _, line := range went {
		if !owned(line) {
			w.Fatalf("not alice's, and gone: %+v", line)
		}
	}
	for _, line := range came {
		w.births[line.Mountpoint]++
		w.wantSafe(c, line)
		w.wantReply(c, r)
	}
}

// without returns the lines of a that are not in b.
func without(a, b []fusetest.Line) (left []fusetest.Line) {
	key := func(l fusetest.Line) string { return fmt.Sprintf("%+v", l) }
	known := map[string]bool{}
	for _, l := range b {
		known[key(l)] = true
	}
	for _, l := range a {
		if !known[key(l)] {
			left = append(left, l)
		}
	}
	return left
}

// wantStatus wants exit status 0 or 1, whatever happens.
func (w *world) wantStatus(c *call, r result) {
	w.Helper()
	switch {
	case r.Signal != 0 && !c.early:
		w.Fatalf("ended by %v: %s", r.Signal, r.Stderr)
	case r.Held:
		w.Fatal("a process has kept the caller's streams")
	case !r.watching && r.Exit != 0 && r.Exit != 1 && !(c.early && (r.Exit == 2 || r.Signal != 0)):
		w.Fatalf("exit %d: %s", r.Exit, r.Stderr)
	case r.NFDs > 0 && !r.ok() && !c.sync && !c.broken:
		w.Fatalf("exit %d and a device", r.Exit)
	case c.sure && !r.ok():
		w.Fatalf("exit %d, though nothing is wrong: %s", r.Exit, r.Stderr)
	}
}

// wantSafe wants the options that every mount of alice's must have, and those of the
// call.
func (w *world) wantSafe(c *call, line fusetest.Line) {
	w.Helper()
	for _, option := range []string{"nosuid", "nodev", fmt.Sprintf("user_id=%d", alice), fmt.Sprintf("group_id=%d", alice)} {
		if !line.HasOption(option) {
			w.Fatalf("lacks %s: %+v", option, line)
		}
	}
	switch lack := c.want.missing(line); {
	case !owned(line), !strings.HasPrefix(line.Mountpoint, w.home+"/"):
		w.Fatalf("not alice's: %+v", line)
	case line.HasOption("allow_other") && !w.setting.allowOther:
		w.Fatalf("allow_other with %q: %+v", w.setting.conf, line)
	case c.kind != mount && c.kind != garbage:
		w.Fatalf("mounted %+v", line)
	case c.want.refused:
		w.Fatalf("mounted, with an option to be refused: %+v", line)
	case c.kind == mount && (line.Mountpoint != c.target.path || !c.target.good):
		w.Fatalf("mounted at %s, not at %q: %+v", line.Mountpoint, c.target.path, line)
	case lack != "":
		w.Fatalf("the mount %s: %+v", lack, line)
	}
}

// wantReply wants one byte with one device, and under sync-init the status.
func (w *world) wantReply(c *call, r result) {
	w.Helper()
	hidden := c.CommFD == 1 || c.CommFD == 2 // the test has nothing of it
	if !r.ok() || hidden {
		return
	}
	want := "\x00"
	if r.NFDs != 1 || string(r.Bytes) != want || r.Truncated {
		w.Fatalf("the reply: %d descriptors, %q", r.NFDs, r.Bytes)
	}
	if slices.ContainsFunc(c.Args, isSyncInit) && !c.peer.close && !c.peer.shut && c.kind == mount &&
		(len(r.status) != 4 || binary.NativeEndian.Uint32(r.status) != 0) {
		w.Fatalf("the status: %q", r.status)
	}
}

// wantDone wants a successful call to have done something.
func (w *world) wantDone(c *call, r result, came, went int) {
	w.Helper()
	outcome := "refused"
	switch {
	case !r.ok() && r.Exit != 1:
		outcome = "early"
	case !r.ok():
	case came == 1:
		outcome = "mounted"
	case went > 0:
		outcome = "unmounted"
	case c.kind == watch && r.watching:
		outcome = "watching"
	case c.kind == ask || c.kind == garbage:
		outcome = "answered"
	case c.kind == watch && c.HangUp:
		outcome = "left alone" // the daemon is alive
	case c.peer.close && r.NFDs == 1:
		outcome = "cleaned up" // by a watcher whose caller is gone
	default:
		w.Fatalf("exit %d, and nothing was done: %s", r.Exit, r.Stderr)
	}
	count(outcome)
	w.Logf("   %s %q", outcome, r.Stderr)
}

// wantRecords wants the tables to follow the mount.
func (w *world) wantRecords(c *call, r result, came, went []fusetest.Line) {
	w.Helper()
	switch {
	case len(came) == 1:
		changed := w.wantTables(+1, came[0].Mountpoint)
		_, utab := w.tables["/run/mount/utab"]
		_, mtab := w.tables["/etc/mtab"]
		want := 0
		if utab && c.want.recorded {
			want++
		}
		if mtab {
			want++
		}
		unreported := c.broken || (c.Rlimits != nil && c.Rlimits[0].Resource == unix.RLIMIT_FSIZE) // it could not be written, or reported
		if changed != want && c.kind == mount && !strings.Contains(r.Stderr, "warning: ") && !unreported {
			w.Fatalf("%d tables of %d have a line", changed, want)
		}
	case len(went) == 1:
		w.wantTables(-1, went[0].Mountpoint)
	default:
		w.wantTables(0, "")
	}
	if c.broken {
		w.check(removeRests())
	}
	w.wantNoRests()
}

// wantWords wants one error, and a hint at most, each with the program's name.
func (w *world) wantWords(c *call, r result) {
	w.Helper()
	if c.noisy || (c.early && !r.ok()) {
		return // the runtime writes, too
	}
	name := c.Prog
	if c.Argv != nil {
		name = strings.Join(c.Argv[:min(1, len(c.Argv))], "")
	}
	if name == "" && strings.HasPrefix(r.Stderr, "fusermount3: ") {
		name = "fusermount3" // before Linux 5.18 argv may be empty
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

// isNotice reports whether a line is a warning or a hint.
func isNotice(text string) bool {
	return slices.ContainsFunc([]string{
		"unsafe option ", "option large_read is obsolete", "warning: ", "reading /etc/fuse.conf", "/etc/fuse.conf ignored",
		"unknown parameter in /etc/fuse.conf", "mount_max is ", "failed to open /etc/fuse.conf: Permission denied",
	}, func(prefix string) bool { return strings.HasPrefix(text, prefix) })
}

// shown escapes text as the helper must print it.
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

// tables are the texts of utab and mtab by path, of those that are regular files.
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

// wantTables wants every table unchanged but for one line, of the mount that came or
// went at this path. It returns how many have changed.
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

// extraLine returns the one line that only longer has.
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

// escaped escapes a path as a field of a table.
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
