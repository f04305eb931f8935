//go:build linux

package fusermount_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// Each option shows in the kernel's mount table.
func TestOptions(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		for name, c := range map[string]struct {
			set  func(o *fusermount.Options)
			want string // options, comma-separated; with a "!" those that may not be there
		}{
			"ReadOnly":           {func(o *fusermount.Options) { o.ReadOnly = true }, "ro"},
			"NoExec":             {func(o *fusermount.Options) { o.NoExec = true }, "noexec"},
			"NoAtime":            {func(o *fusermount.Options) { o.NoAtime = true }, "noatime"},
			"Sync":               {func(o *fusermount.Options) { o.Sync = true }, "sync"},
			"DirSync":            {func(o *fusermount.Options) { o.DirSync = true }, "dirsync"},
			"DefaultPermissions": {func(o *fusermount.Options) { o.DefaultPermissions = true }, "default_permissions"},
			"MaxRead":            {func(o *fusermount.Options) { o.MaxRead = 65536 }, "max_read=65536"},
			"Extra":              {func(o *fusermount.Options) { o.Extra = []string{"ro,noexec", "", "max_read=8192"} }, "ro,noexec,max_read=8192"},
			"Extra wins":         {func(o *fusermount.Options) { o.ReadOnly = true; o.Extra = []string{"rw"} }, "rw"},
			"ignored by all":     {func(o *fusermount.Options) { o.Extra = []string{"nonempty", "user_id=0", "fd=77"} }, "rw,!allow_other"},
		} {
			m, dir := w.mount(t, c.set)
			line := mounted(t, dir)
			for option := range strings.SplitSeq(c.want, ",") {
				option, not := strings.CutPrefix(option, "!")
				if line.HasOption(option) == not {
					t.Errorf("%s: %q in %+v", name, option, line)
				}
			}
			if err := w.unmount(t, m); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// What libfuse 3.14's helper does not know.
func TestNewerOptions(t *testing.T) {
	for name, w := range map[string]way{"direct": {direct: true}, "helper": {o: fusermount.Options{Helper: ours(t), Method: fusermount.MethodHelper}}} {
		t.Run(name, func(t *testing.T) {
			_, dir := w.mount(t, func(o *fusermount.Options) { o.NoSymFollow = true; o.Extra = []string{"nodiratime", "x-mine=1"} })
			if line := mounted(t, dir); !line.HasOption("nosymfollow") || !line.HasOption("nodiratime") {
				t.Errorf("%+v", line)
			}
		})
	}
}

// Names of all kinds arrive as they were given, and cannot smuggle an option.
func TestNames(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		for _, name := range []string{
			"plain", "host:/a b", "a,b", `a\b`, `a\,allow_other`, ",allow_other", `end\`, `\`, "new\nline\ttab", "#x", "\xff",
			"ro,suid,dev", strings.Repeat("long", 64), // too long for fsconfig
		} {
			m, dir := w.mount(t, func(o *fusermount.Options) { o.FSName = name; o.Subtype = "s.t-1" })
			line := mounted(t, dir)
			if line.Source != name || line.FSType != "fuse.s.t-1" || line.HasOption("allow_other") || line.HasOption("ro") || !line.HasOption("nosuid") {
				t.Errorf("%q: %+v", name, line)
			}
			if err := w.unmount(t, m); err != nil {
				t.Errorf("%q: %v", name, err)
			}
		}
		m, dir := w.mount(t, func(o *fusermount.Options) { o.Subtype = `a,b\c` })
		if line := mounted(t, dir); line.FSType != `fuse.a,b\c` || line.Source != `a,b\c` {
			t.Errorf("%+v", line)
		}
		if err := w.unmount(t, m); err != nil {
			t.Error(err)
		}
	})
}

// An extra option that ends in a backslash leaves the next one alone.
func TestExtraBackslash(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		m, dir := w.mount(t, func(o *fusermount.Options) {
			o.Extra = []string{`fsname=C:\`, "ro", `subtype=s\`, "noexec"}
		})
		if line := mounted(t, dir); line.Source != `C:\` || line.FSType != `fuse.s\` || !line.HasOption("ro") || !line.HasOption("noexec") {
			t.Errorf("%+v", line)
		}
		if err := w.unmount(t, m); err != nil {
			t.Error(err)
		}
	})
}

// Suid and Dev are root's alone.
func TestSuidDev(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		_, dir := w.mount(t, func(o *fusermount.Options) { o.Suid = true; o.Dev = true })
		line := mounted(t, dir)
		want := w.uid != 0
		if fusetest.Have() != fusetest.Root { // the kernel takes dev from root alone
			return
		}
		if line.HasOption("nosuid") != want || line.HasOption("nodev") != want {
			t.Errorf("%+v", line)
		}
	})
}

// Before anything is run, /etc/fuse.conf is asked.
func TestAllowOther(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		for _, set := range []func(o *fusermount.Options){
			func(o *fusermount.Options) { o.AllowOther = true },
			func(o *fusermount.Options) { o.AllowRoot = true },
			func(o *fusermount.Options) { o.Extra = []string{"allow_other"} },
			func(o *fusermount.Options) { o.Extra = []string{"ro,allow_root"} },
		} {
			fuseConf(t, "")
			dir := fusetest.Dir(t, w.uid)
			if w.uid != 0 {
				refusedByConf(t, w, dir, set)
				fuseConf(t, "#user_allow_other\nmount_max = 5\n")
				refusedByConf(t, w, dir, set)
				fuseConf(t, "mount_max = 5\nuser_allow_other\n")
			}
			m := mountAs(t, w.uid, dir, w.with(set))
			if line := mounted(t, dir); !line.HasOption("allow_other") {
				t.Errorf("%+v", line)
			}
			if err := w.unmount(t, m); err != nil {
				t.Error(err)
			}
		}
	})
}

// refusedByConf wants an error, and that no helper was run.
func refusedByConf(t *testing.T, w way, dir string, set func(o *fusermount.Options)) {
	t.Helper()
	err := as(w.uid, func() error {
		_, err := fusermount.Mount(within(t), dir, w.with(set))
		return err
	})
	if e := wantError(t, err, fusermount.ErrAllowOther, fs.ErrPermission); e.Helper != "" || !strings.Contains(e.Error(), "/etc/fuse.conf") {
		t.Errorf("%v (helper %q)", e, e.Helper)
	}
	wantNothing(t, dir)
}

// fuseConf writes the tests' own /etc/fuse.conf, or removes it.
func fuseConf(t *testing.T, text string) {
	t.Helper()
	remove := func() {
		if err := os.RemoveAll("/etc/fuse.conf"); err != nil {
			t.Fatal(err)
		}
	}
	remove()
	if text == "" {
		return
	}
	t.Cleanup(remove)
	if err := os.WriteFile("/etc/fuse.conf", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// What cannot be carried out is refused before anything is done.
func TestBadOptions(t *testing.T) {
	dir := fusetest.Dir(t, 0)
	for name, c := range map[string]struct {
		o    fusermount.Options
		want error
	}{
		"no such method":        {fusermount.Options{Method: -1}, unix.EINVAL},
		"no such method either": {fusermount.Options{Method: fusermount.MethodHelper + 1}, unix.EINVAL},
		"NUL":                   {fusermount.Options{FSName: "a\x00b"}, unix.EINVAL},
		"NUL in extra":          {fusermount.Options{Extra: []string{"\x00"}}, unix.EINVAL},
		"bad value":             {fusermount.Options{Extra: []string{"max_read=x"}}, unix.EINVAL},
		"unknown, direct":       {fusermount.Options{Extra: []string{"ro", "bogus"}, Method: fusermount.MethodDirect}, fusermount.ErrUnknownOption},
		"joins, unknown":        {fusermount.Options{Extra: []string{`bogus=a\\\`, "ro"}, Method: fusermount.MethodHelper}, unix.EINVAL},
		"joins, x-":             {fusermount.Options{Extra: []string{`x-a\`, "ro"}}, unix.EINVAL},
		"unknown, escaped":      {fusermount.Options{Extra: []string{`bogus=a\\`}, Helper: ours(t), Method: fusermount.MethodHelper}, fusermount.ErrUnknownOption},
		"unknown to the helper": {fusermount.Options{Extra: []string{"bogus"}, Helper: ours(t), Method: fusermount.MethodHelper}, fusermount.ErrUnknownOption},
	} {
		_, err := fusermount.Mount(within(t), dir, &c.o)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		wantError(t, err, c.want, unix.EINVAL)
		wantNothing(t, dir)
	}
}

// The Logger gets each helper's arguments and the reason to run another one.
func TestLogger(t *testing.T) {
	log, logged := logger()
	t.Setenv("CLIENT_TEST_LOG", filepath.Join(fusetest.Dir(t, 0), "pid"))
	_, err := fusermount.Mount(within(t), fusetest.Dir(t, 0), &fusermount.Options{
		Helper: fakeHelper(t, "old"), Method: fusermount.MethodHelper, FSName: "logged", Logger: log,
		SyncInit: func(*os.File) error { return nil },
	})
	wantError(t, err)
	text := logged.String()
	for what, want := range map[string]int{`msg="run helper"`: 2, "fsname=logged": 2, "args=\"[--sync-init ": 1, "cannot mount with --sync-init": 1, warned: 0} {
		if n := strings.Count(text, what); n != want {
			t.Errorf("%d times %q, want %d:\n%s", n, what, want, text)
		}
	}
}
