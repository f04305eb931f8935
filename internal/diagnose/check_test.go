package diagnose

import (
	"slices"
	"strings"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fuseconf"
)

// well are the facts of a user for whom everything is as it should be.
func well() Facts {
	return Facts{
		UID:     1000,
		Device:  Device{Path: "/dev/fuse", Known: true},
		Program: Program{Path: "/usr/bin/fusermount3", Setuid: true, Privileged: true},
		Around:  Around{Release: "6.18.1", InitialUser: true, NewMount: Present, Statmount: Present, SyncInit: Present},
		Conf:    Conf{Absent: true, Settings: fuseconf.Defaults()},
		Fusectl: true,
		Count:   3,
	}
}

func TestAllWell(t *testing.T) {
	want := `ok    device       /dev/fuse opens for you
ok    module       the kernel has FUSE
ok    program      /usr/bin/fusermount3 is root's and has the setuid bit
ok    privilege    CAP_SYS_ADMIN came from the program's file
ok    namespace    the first user namespace
ok    fuse.conf    /etc/fuse.conf is absent: the defaults count
ok    allow_other  not for you: a mount with allow_other or allow_root is refused -> the administrator can add the line user_allow_other to /etc/fuse.conf
ok    mount_max    3 FUSE file systems are mounted, and 1000 may be
ok    fusectl      it is mounted: connections can be looked at and aborted
ok    kernel       Linux 6.18.1; new mount API: yes, statmount: yes, sync-init: yes
ok    way          mounts are made with the new mount API, or with mount(2) where that is refused
`
	findings := Check(well())
	if got := CheckText(findings, 0); got != want || Failed(findings) {
		t.Errorf("%s\nwant %s", got, want)
	}
	narrow := CheckText(findings, 80)
	wantLines := `
ok    allow_other  not for you: a mount with allow_other or allow_root is
                   refused
                   -> the administrator can add the line user_allow_other to /etc/fuse.conf
ok    mount_max    3`
	if !strings.Contains(narrow, wantLines) {
		t.Errorf("at 80 columns: %s", narrow)
	}
}

// Each fact that is not as it should be changes the findings in its own way.
func TestCheck(t *testing.T) {
	problem := &Problem{Text: "the text", Next: "the step"}
	stale := Mount{Mountpoint: "/m x", Type: "fuse.sshfs", Owner: 1000, HasOwner: true, ID: 7, State: Dead}
	hung, theirs := stale, stale
	hung.State, hung.Waiting = Hung, 3
	theirs.Owner, theirs.OwnerName = 1001, "bob"
	healthy, unknown := stale, theirs
	healthy.State, unknown.State = Alive, Unknown
	for name, c := range map[string]struct {
		change func(*Facts)
		want   string // a line of the text, without its indentation; several are separated by |
	}{
		"no device": {
			func(f *Facts) { f.Device.Problem, f.Device.Absent = problem, true },
			"fail device the text -> the step|ok module the kernel has FUSE",
		},
		"another device": {func(f *Facts) { f.Device.Wrong = true }, "fail device /dev/fuse is not the fuse device -> as root: rm /dev/fuse, then mknod -m 666 /dev/fuse c 10 229"},
		"no module": {
			func(f *Facts) { f.Device = Device{Path: "/dev/fuse", Problem: problem, Absent: true} },
			"fail device the text -> the step|fail module this kernel has no FUSE, and no module for it is installed -> install the package with the modules of this very kernel, or boot another one",
		},
		"a module": {
			func(f *Facts) {
				f.Device = Device{Path: "/dev/fuse", Problem: problem, Absent: true, Module: "/lib/fuse.ko"}
			},
			"warn device the text -> it comes with the module, which is loaded when somebody mounts|" +
				"warn module fuse is not loaded; /lib/fuse.ko is there -> as root, if it does not load by itself: modprobe fuse",
		},
		"a module, a closed device": {
			func(f *Facts) { f.Device = Device{Path: "/dev/fuse", Problem: problem, Module: "/lib/fuse.ko"} },
			"fail device the text -> the step|warn module fuse is not loaded; /lib/fuse.ko is there -> as root: modprobe fuse",
		},
		"no modules any more": {
			func(f *Facts) {
				f.Device = Device{Path: "/dev/fuse", Problem: problem, Absent: true, Module: "/lib/fuse.ko", Locked: true}
			},
			"fail device the text -> the step|fail module fuse is not loaded, and this kernel loads no modules any more (kernel.modules_disabled)",
		},
		"setuid, not root's": {
			func(f *Facts) { f.Program = Program{Path: "/p", Setuid: true, Owner: 5, Missing: "why"} },
			"fail program /p has the setuid bit, but its owner is uid 5 here|fail privilege CAP_SYS_ADMIN is not there -> why",
		},
		"setuid, in a namespace": {
			func(f *Facts) { f.Program.Owner = 65534 }, "ok program /usr/bin/fusermount3 lends no rights, and you need none",
		},
		"capability":          {func(f *Facts) { f.Program.Setuid, f.Program.Capability = false, true }, "ok program /usr/bin/fusermount3 has the file capability"},
		"plain":               {func(f *Facts) { f.Program = Program{Path: "/p", Missing: "why"} }, "fail program /p has neither the setuid bit nor the file capability -> as root: chown root and chmod u+s it|fail privilege CAP_SYS_ADMIN is not there -> why"},
		"plain, root":         {func(f *Facts) { f.Program, f.UID = Program{Path: "/p", Privileged: true}, 0 }, "ok program /p lends no rights, and you need none|ok privilege you have CAP_SYS_ADMIN"},
		"nosuid":              {func(f *Facts) { f.Program.NoSuid, f.Program.Privileged = true, false }, "fail program it lies on a file system mounted nosuid -> install it elsewhere, or have it mounted suid"},
		"nosuid, where":       {func(f *Facts) { f.Program.NoSuid, f.Program.Under, f.Program.Privileged = true, "/m x", false }, "-> install it elsewhere, or as root: mount -o remount,suid '/m x'"},
		"conf for all":        {func(f *Facts) { f.Conf.Allows = true }, "ok allow_other not for you: a mount with allow_other or allow_root is refused -> the administrator can make /etc/fuse.conf root's, and writable for root alone"},
		"inside theirs":       {func(f *Facts) { f.Place = &Place{Path: "/m x/y", Through: &unknown} }, "fail mountpoint /m x/y lies inside the FUSE mount /m x of uid 1001(bob), which is closed to you ->"},
		"inside theirs, root": {func(f *Facts) { f.UID, f.Place = 0, &Place{Path: "/m x/y", Through: &unknown} }, "warn mountpoint /m x/y lies inside"},
		"inside theirs, open": {func(f *Facts) {
			open := unknown
			open.FSOptions = "user_id=1001,allow_other"
			f.Place = &Place{Path: "/m x/y", Through: &open}
		}, "warn mountpoint /m x/y lies inside"},
		"no_new_privs": {func(f *Facts) { f.Program.NoNewPrivs, f.Program.Privileged = true, false }, "fail privilege no_new_privs is set -> call it outside of this sandbox"},
		"no file":      {func(f *Facts) { f.Program = Program{Privileged: true} }, "warn program its own file cannot be examined"},
		"namespace":    {func(f *Facts) { f.Around.InitialUser, f.Around.IDs = false, "0 1000 1" }, "ok namespace a user namespace (uid_map 0 1000 1)"},
		"outer mounts": {
			func(f *Facts) { f.Around.InitialUser, f.Around.IDs, f.Around.OuterMounts = false, "0 1000 1", true },
			"fail namespace you are in a user namespace (uid_map 0 1000 1), and the mounts belong to an outer one -> make a mount namespace, too: unshare -Urm",
		},
		"container":           {func(f *Facts) { f.Around.Container = "lxc" }, "ok container it seems that this is one (lxc)"},
		"seccomp":             {func(f *Facts) { f.Around.Filters = 2 }, "warn seccomp 2 filters of a sandbox hold for this process -> if mounting fails"},
		"apparmor":            {func(f *Facts) { f.Around.Profile, f.Around.Mode = "fusermount3", "enforce" }, "warn apparmor the profile 'fusermount3' confines this program (enforce) -> if mounting fails with 'Permission denied', allow the place in /etc/apparmor.d/local/fusermount3, and as root: apparmor_parser -r /etc/apparmor.d/fusermount3"},
		"apparmor, by path":   {func(f *Facts) { f.Around.Profile, f.Around.Mode = "/usr/bin/fusermount3", "enforce" }, "/etc/apparmor.d/local/usr.bin.fusermount3, and"},
		"apparmor, complains": {func(f *Facts) { f.Around.Profile, f.Around.Mode = "x", "complain" }, "ok apparmor the profile 'x' (complain)"},
		"fuse.conf ignored": {
			func(f *Facts) { f.Conf.Problem, f.Conf.Absent = problem, false },
			"warn fuse.conf the text; the defaults count -> the step",
		},
		"fuse.conf unreadable": {func(f *Facts) { f.Conf.Problem, f.Conf.Fatal = problem, true }, "fail fuse.conf the text -> the step"},
		"fuse.conf": {
			func(f *Facts) {
				f.Conf = Conf{Settings: fuseconf.Settings{UserAllowOther: true, MountMax: 3}, Lines: []fuseconf.Line{
					{Number: 2, Text: "user_allow_other", Setting: true}, {Number: 4, Text: "foo", Warnings: []string{"unknown"}},
				}}
			},
			"ok fuse.conf line 2: user_allow_other|warn fuse.conf line 4: foo -> unknown|ok allow_other you may let other users into your mounts|" +
				"fail mount_max 3 FUSE file systems are mounted, and 3 may be -> unmount what nobody needs",
		},
		"fuse.conf, commented": {
			func(f *Facts) {
				f.Conf = Conf{Settings: fuseconf.Defaults(), Lines: []fuseconf.Line{{Number: 9, Commented: "user_allow_other"}}}
			},
			"ok fuse.conf /etc/fuse.conf sets nothing: the defaults count|-> the administrator can take the # off line 9 of /etc/fuse.conf",
		},
		"root":          {func(f *Facts) { f.UID, f.Count = 0, 5000 }, "ok allow_other root may always use it|ok mount_max 5000 FUSE file systems are mounted, and there is no limit for you"},
		"no limit":      {func(f *Facts) { f.Conf.Settings.MountMax = fuseconf.NoLimit }, "ok mount_max 3 FUSE file systems are mounted, and there is no limit for you"},
		"nearly full":   {func(f *Facts) { f.Count = 900 }, "warn mount_max 900 FUSE file systems are mounted, and 1000 may be"},
		"nothing may":   {func(f *Facts) { f.Conf.Settings.MountMax, f.Count = 0, 0 }, "fail mount_max 0 FUSE"},
		"no fusectl":    {func(f *Facts) { f.Fusectl = false }, "warn fusectl fusectl is not mounted"},
		"a dead mount":  {func(f *Facts) { f.Mounts = []Mount{stale} }, "warn mount /m x is a mount of type fuse.sshfs whose daemon is gone -> fusermount3 -u '/m x'"},
		"a hung mount":  {func(f *Facts) { f.Mounts = []Mount{hung} }, "whose daemon does not answer (requests waiting: 3) -> fusermount3 --abort '/m x'"},
		"not reachable": {func(f *Facts) { f.Place = &Place{Path: "/x", Problem: problem} }, "fail mountpoint the text -> the step"},
		"fine":          {func(f *Facts) { f.Place = &Place{Path: "/x", Kind: "directory", FSName: "ext4"} }, "ok mountpoint /x can be mounted over: a directory on ext4 that you may write to"},
		"fine, root":    {func(f *Facts) { f.Place = &Place{Path: "/x", Kind: "file"} }, "ok mountpoint /x can be mounted over: a file that you may write to"},
		"dead there":    {func(f *Facts) { f.Place, f.Mounts = &Place{Path: "/m x", Mounted: &stale}, []Mount{stale} }, "fail mountpoint /m x is a mount of type fuse.sshfs whose daemon is gone -> fusermount3 -u '/m x'"},
		"hung there":    {func(f *Facts) { f.Place = &Place{Path: "/m x", Mounted: &hung} }, "fail mountpoint /m x is a mount of type fuse.sshfs whose daemon does not answer"},
		"alive there":   {func(f *Facts) { f.Place = &Place{Path: "/m x", Mounted: &healthy} }, "ok mountpoint /m x is a mount of type fuse.sshfs whose daemon is alive"},
		"theirs there":  {func(f *Facts) { f.Place = &Place{Path: "/m x", Mounted: &unknown} }, "fail mountpoint /m x is a FUSE mount of uid 1001(bob) -> that user or root can unmount it"},
		"theirs, root":  {func(f *Facts) { f.UID, f.Place = 0, &Place{Path: "/m x", Mounted: &unknown} }, "ok mountpoint /m x is a mount of type fuse.sshfs; whether its daemon lives is not known"},
		"inside a dead": {func(f *Facts) { f.Place = &Place{Path: "/m x/y", Through: &stale} }, "fail mountpoint /m x/y lies inside: /m x is a mount of type fuse.sshfs whose daemon is gone -> fusermount3 -u '/m x'"},
		"inside":        {func(f *Facts) { f.Place = &Place{Path: "/m x/y", Through: &healthy} }, "warn mountpoint /m x/y lies inside the FUSE mount /m x and was not looked at"},
		"not to ask":    {func(f *Facts) { f.Device.Problem, f.Around.SyncInit = problem, Unasked }, "fail device the text -> the step|statmount: yes, sync-init: unknown"},
		"old kernel":    {func(f *Facts) { f.Around.NewMount, f.Around.Statmount = Absent, Forbidden }, "new mount API: no, statmount: forbidden, sync-init: yes|ok way mounts are made with mount(2)"},
	} {
		f := well()
		c.change(&f)
		findings := Check(f)
		text := strings.Join(strings.Fields(CheckText(findings, 0)), " ")
		for want := range strings.SplitSeq(c.want, "|") {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", name, want, CheckText(findings, 0))
			}
		}
		if Failed(findings) != strings.Contains(text, "fail ") {
			t.Errorf("%s: failed is %v", name, Failed(findings))
		}
		n := strings.Count(CheckText(findings, 0), "\n")
		if n != len(findings) {
			t.Errorf("%s: %d lines for %d findings", name, n, len(findings))
		}
	}
}

// Another user's mounts are not this one's to mend, and the mountpoint's own is
// named once.
func TestStaleMounts(t *testing.T) {
	f := well()
	for i := range 30 {
		f.Mounts = append(f.Mounts, Mount{Mountpoint: "/m", Owner: 999 + uint32(i%2), HasOwner: true, ID: uint64(i), State: Dead})
	}
	f.Place = &Place{Mounted: &f.Mounts[1]}
	found := checkMounts(f)
	mounts := slices.DeleteFunc(found, func(f Finding) bool { return f.Subject != "mount" })
	if len(mounts) != 11 || mounts[10].Text != "4 more are dead or hung" {
		t.Errorf("%d: %+v", len(mounts), mounts)
	}
}

func TestListHints(t *testing.T) {
	dead := Mount{Owner: 5, HasOwner: true, State: Dead}
	hung := Mount{Owner: 5, HasOwner: true, State: Hung}
	for _, c := range []struct {
		mounts  []Mount
		uid     uint32
		fusectl bool
		want    string
	}{
		{nil, 5, false, ""},
		{[]Mount{{State: Alive}, {State: Unknown}}, 5, true, ""},
		{[]Mount{dead, dead}, 5, true, "dead"},
		{[]Mount{dead, hung}, 0, true, "dead hung"},
		{[]Mount{dead, hung}, 6, true, ""},
		{[]Mount{{State: Unknown}}, 5, false, "unknown"},
	} {
		var words []string
		for _, hint := range ListHints(c.mounts, c.uid, c.fusectl) {
			word, _, _ := strings.Cut(hint, ":")
			words = append(words, word)
		}
		if got := strings.Join(words, " "); got != c.want {
			t.Errorf("%+v: %q, want %q", c, got, c.want)
		}
	}
}

func TestShellWord(t *testing.T) {
	for name, want := range map[string]string{
		"/home/a/m-1_2.x:y@z": "/home/a/m-1_2.x:y@z",
		"/m x":                "'/m x'",
		"/it's":               `'/it'\''s'`,
		"/$(x)":               "'/$(x)'",
		"/日本":                 "/日本",
		"":                    "''",
		"~":                   "'~'",
	} {
		if got := shellWord(name); got != want {
			t.Errorf("shellWord(%q) = %s, want %s", name, got, want)
		}
	}
}
