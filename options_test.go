//go:build linux

package fusermount_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
			"Extra":              {func(o *fusermount.Options) { o.Extra = extra("ro", "noexec", "max_read=8192") }, "ro,noexec,max_read=8192"},
			"Extra wins":         {func(o *fusermount.Options) { o.ReadOnly = true; o.Extra = extra("rw") }, "rw"},
			"ignored by all":     {func(o *fusermount.Options) { o.Extra = extra("nonempty", "large_read") }, "rw,!allow_other"},
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
			_, dir := w.mount(t, func(o *fusermount.Options) { o.NoSymFollow = true; o.Extra = extra("nodiratime", "x-mine=1") })
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
			if len(name) > 255 && w.service != nil {
				continue // see TestBadOptions
			}
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

// extra makes Extra of options as they stand on a command line, without escapes.
func extra(options ...string) (list []fusermount.Option) {
	for _, option := range options {
		key, value, _ := strings.Cut(option, "=")
		list = append(list, fusermount.Option{Key: key, Value: value})
	}
	return list
}

// The values of extra options arrive as they were given, and leave the next one alone.
func TestExtraNames(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		m, dir := w.mount(t, func(o *fusermount.Options) {
			o.Extra = extra(`fsname=C:\,a`, "ro", `subtype=s\`, "noexec")
		})
		if line := mounted(t, dir); line.Source != `C:\,a` || line.FSType != `fuse.s\` || !line.HasOption("ro") || !line.HasOption("noexec") {
			t.Errorf("%+v", line)
		}
		if err := w.unmount(t, m); err != nil {
			t.Error(err)
		}
	})
}

// What may be left out when a helper mounts is left out then, and only then.
func TestDirectOnly(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		m, dir := w.mount(t, func(o *fusermount.Options) {
			o.Extra = []fusermount.Option{{Key: "ro", DirectOnly: true}, {Key: "lazytime", DirectOnly: true}, {Key: "strictatime", DirectOnly: true}}
		})
		line := mounted(t, dir)
		for _, option := range []string{"ro", "lazytime"} {
			if line.HasOption(option) != w.direct {
				t.Errorf("%s: %+v", option, line)
			}
		}
		if line.HasOption("relatime") == w.direct { // strictatime is the absence of it
			t.Errorf("strictatime: %+v", line)
		}
		if err := w.unmount(t, m); err != nil {
			t.Error(err)
		}
	})
}

// A direct mount by mount(2), as for a long name, knows the same.
func TestDirectOnlyByCall(t *testing.T) {
	fusetest.NeedDevice(t)
	dir := fusetest.Dir(t, 0)
	mountAs(t, 0, dir, &fusermount.Options{
		FSName: strings.Repeat("long", 64), Method: fusermount.MethodDirect, Extra: extra("lazytime", "strictatime", "max_read=8192"),
	})
	if line := mounted(t, dir); !line.HasOption("lazytime") || line.HasOption("relatime") || !line.HasOption("max_read=8192") {
		t.Errorf("%+v", line)
	}
}

// Nothing is dropped without a word.
func TestIgnoredWarns(t *testing.T) {
	fusetest.NeedDevice(t)
	log, logged := logger()
	m := mountAs(t, 0, fusetest.Dir(t, 0), &fusermount.Options{
		Method: fusermount.MethodDirect, Extra: extra("x-mine=1", "nonempty", "large_read", "noexec"), Logger: log,
	})
	want := []string{"option 'nonempty' has no effect", "option 'large_read' has no effect", "option 'x-mine' has no effect"}
	if got := m.Info().Warnings; !slices.Equal(got, want) || strings.Count(logged.String(), "level=WARN") != len(want) {
		t.Errorf("%q, and logged:\n%s", got, logged)
	}
}

// Suid and Dev are root's alone.
func TestSuidDev(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		if w.service != nil {
			return // cannot even be told; see TestBadOptions
		}
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
			func(o *fusermount.Options) { o.Extra = extra("allow_other") },
			func(o *fusermount.Options) { o.Extra = extra("ro", "allow_root") },
		} {
			const max = "mount_max = 5000\n" // the mount service counts those of the whole machine
			fuseConf(t, "")
			dir := fusetest.Dir(t, w.uid)
			if w.uid != 0 {
				refusedByConf(t, w, dir, set)
				fuseConf(t, "#user_allow_other\n"+max)
				refusedByConf(t, w, dir, set)
				fuseConf(t, max+"user_allow_other\n")
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

// refusedByConf wants an error, and that no helper was run. The mount service has a file of its own.
func refusedByConf(t *testing.T, w way, dir string, set func(o *fusermount.Options)) {
	t.Helper()
	err := as(w.uid, func() error {
		_, err := fusermount.Mount(within(t), dir, w.with(set))
		return err
	})
	if e := wantError(t, err, fusermount.ErrAllowOther, fs.ErrPermission); (e.Helper != "") != (w.service != nil) || !strings.Contains(e.Error(), "/etc/fuse.conf") {
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
		"no such method either": {fusermount.Options{Method: fusermount.MethodService + 1}, unix.EINVAL},
		"NUL":                   {fusermount.Options{FSName: "a\x00b"}, unix.EINVAL},
		"NUL in extra":          {fusermount.Options{Extra: extra("a=\x00")}, unix.EINVAL},
		"NUL in a key":          {fusermount.Options{Extra: extra("a\x00")}, unix.EINVAL},
		"no key":                {fusermount.Options{Extra: extra("=a")}, unix.EINVAL},
		"two in a key":          {fusermount.Options{Extra: extra("ro,suid")}, unix.EINVAL},
		"two in a value":        {fusermount.Options{Extra: extra("max_read=8192,allow_other")}, unix.EINVAL},
		"escape in a key":       {fusermount.Options{Extra: extra(`ro\`)}, unix.EINVAL},
		"bad value":             {fusermount.Options{Extra: extra("max_read=x")}, unix.EINVAL},
		"not theirs":            {fusermount.Options{Extra: extra("user_id=0")}, unix.EINVAL},
		"unknown, direct":       {fusermount.Options{Extra: extra("ro", "bogus"), Method: fusermount.MethodDirect}, fusermount.ErrUnknownOption},
		"unknown value, direct": {fusermount.Options{Extra: extra("bogus=1,2"), Method: fusermount.MethodDirect}, fusermount.ErrUnknownOption},
		"comma for a helper":    {fusermount.Options{Extra: extra("x-a=1,allow_other"), Helper: ours(t), Method: fusermount.MethodHelper}, unix.EINVAL},
		"joins the next":        {fusermount.Options{Extra: extra(`x-a=1\`), Helper: ours(t), Method: fusermount.MethodHelper}, unix.EINVAL},
		"unknown to the helper": {fusermount.Options{Extra: extra("bogus"), Helper: ours(t), Method: fusermount.MethodHelper}, fusermount.ErrUnknownOption},
		"suid by the service":   {fusermount.Options{Suid: true, Method: fusermount.MethodService}, unix.EINVAL},
		"x- by the service":     {fusermount.Options{Extra: extra("x-a"), Method: fusermount.MethodService}, unix.EINVAL},
		"a long name":           {fusermount.Options{FSName: strings.Repeat("n", 256), Method: fusermount.MethodService}, unix.EINVAL},
		"owner by the service":  {fusermount.Options{Owner: &fusermount.Owner{UID: user, GID: user}, Method: fusermount.MethodService}, unix.EINVAL},
		"owner by a helper":     {fusermount.Options{Owner: &fusermount.Owner{UID: user, GID: user}, Method: fusermount.MethodHelper}, unix.EINVAL},
		"detached by a helper":  {fusermount.Options{BeforeAttach: func(*os.File) error { return nil }, Method: fusermount.MethodHelper}, unix.EINVAL},
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
		SyncInit: func(*os.File) (func(), error) { return nil, nil },
	})
	wantError(t, err)
	text := logged.String()
	for what, want := range map[string]int{`msg="run helper"`: 2, "fsname=logged": 2, "args=\"[--sync-init ": 1, "cannot mount with --sync-init": 1, warned: 0} {
		if n := strings.Count(text, what); n != want {
			t.Errorf("%d times %q, want %d:\n%s", n, what, want, text)
		}
	}
}
