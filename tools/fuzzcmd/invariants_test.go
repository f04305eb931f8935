package fuzzcmd

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// judge holds a call against what must be true after each.
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

// wantTable wants one mount more at most, or some of hers less, and neither
// after a failure.
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
			w.Fatalf("it was not hers: %+v", line)
		}
	}
	for _, line := range came {
		w.births[line.Mountpoint]++
		w.wantSafe(c, line)
		w.wantReply(c, r)
	}
}

// without gives the lines of a that are not in b, whole.
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

// wantStatus wants 0 or 1, and nothing else, whatever happens.
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

// wantSafe wants what every mount of hers must be like, and what was asked for.
func (w *world) wantSafe(c *call, line fusetest.Line) {
	w.Helper()
	for _, option := range []string{"nosuid", "nodev", fmt.Sprintf("user_id=%d", alice), fmt.Sprintf("group_id=%d", alice)} {
		if !line.HasOption(option) {
			w.Fatalf("lacks %s: %+v", option, line)
		}
	}
	switch lack := c.want.missing(line); {
	case !owned(line), !strings.HasPrefix(line.Mountpoint, w.home+"/"):
		w.Fatalf("not hers: %+v", line)
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

// wantDone wants a success to have done something.
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
		outcome = "told"
	case c.peer.close && r.NFDs == 1:
		outcome = "cleaned up" // by a watcher whose caller had gone
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
		unsaid := c.broken || (c.Rlimits != nil && c.Rlimits[0].Resource == unix.RLIMIT_FSIZE) // it could not be written, or said
		if changed != want && c.kind == mount && !strings.Contains(r.Stderr, "warning: ") && !unsaid {
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
