package faults

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// table is one of the tables of user space.
type table struct {
	path   string
	others string // lines that are not alice's
	lock   string // the lock file, beside it
	stays  bool   // the lock file
	line   func(l fusetest.Line) string
	target func(line string) (target string, ok bool)
}

var (
	utab = table{"/run/mount/utab", "SRC=x TARGET=/else ROOT=/ OPTS=x-y\n", ".lock", true, utabLine, utabTarget}
	mtab = table{"/etc/mtab", "proc /else proc rw 0 0\n", "~", false, mtabLine, mtabTarget}
)

func utabLine(l fusetest.Line) string {
	return fmt.Sprintf("SRC=anywhere TARGET=%s ROOT=/ ATTRS=fusermount.id=%d OPTS=x-a\n", l.Mountpoint, l.ID)
}

func utabTarget(line string) (target string, ok bool) {
	fields := map[string]string{}
	for f := range strings.SplitSeq(line, " ") {
		name, value, found := strings.Cut(f, "=")
		if !found || value == "" {
			return "", false
		}
		fields[name] = value
	}
	return fields["TARGET"], len(fields) == 5 && strings.HasPrefix(fields["ATTRS"], "fusermount.id=") && fields["OPTS"] == "x-a"
}

func mtabLine(l fusetest.Line) string {
	return fmt.Sprintf("anywhere %s fuse %s,%s 0 0\n", l.Mountpoint, l.Options, l.SuperOptions)
}

func mtabTarget(line string) (target string, ok bool) {
	f := strings.Split(line, " ")
	if len(f) != 6 || f[4] != "0" || f[5] != "0" {
		return "", false
	}
	return f[1], strings.Contains(","+f[3]+",", fmt.Sprintf(",user_id=%d,", alice))
}

// tables are those that a mode has.
func (m mode) tables() (tables []table) {
	if m.utab {
		tables = append(tables, utab)
	}
	if m.mtab {
		tables = append(tables, mtab)
	}
	return tables
}

// read wants a table that is whole and root's, with the lines of others as they
// were, and gives the number of alice's.
func (t table) read(m string) (lines int, err error) {
	text, err := os.ReadFile(t.path)
	if err != nil {
		return 0, err
	}
	var st unix.Stat_t
	if err := unix.Lstat(t.path, &st); err != nil || st.Mode != unix.S_IFREG|0o644 || st.Uid != 0 || st.Gid != 0 {
		return 0, errors.Join(err, fmt.Errorf("%s belongs to %d:%d, mode %o", t.path, st.Uid, st.Gid, st.Mode))
	}
	rest, whole := strings.CutPrefix(string(text), t.others)
	for line := range strings.Lines(rest) {
		text, ended := strings.CutSuffix(line, "\n")
		target, ok := t.target(text)
		whole = whole && ended && ok && target == m
		lines++
	}
	if !whole {
		return 0, fmt.Errorf("%s is torn: %q", t.path, text)
	}
	return lines, nil
}

// strays are files that no run may leave. One that was killed may leave the
// locks and the tables' temporary files.
func (w *world) strays(killed bool) (strays []string, err error) {
	allowed := []string{w.m, "/etc/fuse.conf"}
	for _, t := range w.mode.tables() {
		allowed = append(allowed, t.path)
		if t.stays || killed {
			allowed = append(allowed, t.path+t.lock)
		}
		if killed {
			allowed = append(allowed, t.path+".fusermount")
		}
	}
	for _, dir := range []string{w.home, "/etc", "/run/mount"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if path := filepath.Join(dir, e.Name()); !slices.Contains(allowed, path) {
				strays = append(strays, path)
			}
		}
	}
	return strays, nil
}
