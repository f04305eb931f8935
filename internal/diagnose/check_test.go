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
		Program: Program{Path: "/usr/bin/fusermount3", Setuid: true},
		System:  System{Release: "6.18.1", InitialUser: true, NewMount: Present, Statmount: Present, SyncInit: Present},
		Conf:    Conf{Absent: true, Settings: fuseconf.Defaults()},
		Fusectl: true,
		Mounts:  make([]Mount, 3),
	}
}

func TestAllWell(t *testing.T) {
	want := `ok    device       /dev/fuse opens for you
ok    module       the kernel has FUSE
ok    program      /usr/bin/fusermount3 is owned by root and set-user-ID
ok    privilege    a program that you start gets the rights of its file
ok    namespace    the user ids of the whole system
ok    fuse.conf    /etc/fuse.conf is absent: the defaults hold
note  allow_other  not for you: a mount with allow_other or allow_root is refused -> the administrator can add the line user_allow_other to /etc/fuse.conf
ok    mount_max    3 FUSE file systems are mounted, and 1000 may be
ok    fusectl      it is mounted: the kernel tells about connections, and ends them
ok    kernel       Linux 6.18.1; new mount calls (fsopen): yes, statmount: yes, sync-init: yes
nothing keeps you from mounting here
`
	findings := Check(well())
	if got := CheckText(findings, well(), Style{}); got != want || Failed(findings) {
		t.Errorf("%s\nwant %s", got, want)
	}
	narrow := CheckText(findings, well(), Style{Width: 80})
	wantLines := `
note  allow_other  not for you: a mount with allow_other or allow_root is
                   refused
                   -> the administrator can add the line user_allow_other to
                      /etc/fuse.conf
ok    mount_max    3`
	if !strings.Contains(narrow, wantLines) {
		t.Errorf("at 80 columns: %s", narrow)
	}
	if got := CheckText(findings, well(), Style{Colour: true}); !strings.HasPrefix(got, "\033[32mok\033[0m    device ") {
		t.Errorf("in colour: %q", got)
	}
}

// Each fact that is not as it should be changes the findings in its own way.
func TestCheck(t *testing.T) {
	problem := &Problem{Text: "the text", Next: "the step"}
	dead := Mount{Mountpoint: "/m x", Type: "fuse.sshfs", Owner: 1000, ID: 7, State: Dead}
	hung, theirs := dead, dead
	hung.State, hung.Waiting, hung.Daemon = Hung, 3, []Holder{{9, "sshfs"}}
	hung.Users = []Holder{{12, "cp"}, {0, "the loop device /dev/loop0 of /m x/i"}}
	theirs.Owner, theirs.OwnerName = 1001, "bob"
	healthy, unknown, slow, stopped, blocked, unseen := dead, theirs, hung, hung, hung, hung
	healthy.State, unknown.State, slow.State = Alive, Unknown, Waiting
	stopped.Stopped, blocked.Blocked, unseen.Daemon = true, true, nil
	const lost = "fusectl abort '/m x' ends the connection; what was not yet written is lost"
	for name, c := range map[string]struct {
		change func(*Facts)
		want   string // parts of the text, in single blanks; several are separated by |
	}{
		"no device": {
			func(f *Facts) { f.Device.Problem, f.Device.Absent = problem, true },
			"fail device the text -> the step|ok module the kernel has FUSE|1 problem",
		},
		"another device": {
			func(f *Facts) { f.Device.Wrong = problem }, "fail device the text -> the step",
		},
		"no module": {
			func(f *Facts) { f.Device = Device{Path: "/dev/fuse", Problem: problem, Absent: true} },
			"fail device the text -> the step|fail module this kernel has no FUSE, and no module for it is installed -> install the package with the modules of this kernel version, or boot another one|2 problems",
		},
		"a module": {
			func(f *Facts) {
				f.Device = Device{Path: "/dev/fuse", Problem: problem, Absent: true, Module: "/lib/fuse.ko"}
			},
			"warn device the text -> it comes with the module, which is loaded at the first mount|" +
				"warn module fuse is not loaded; /lib/fuse.ko is there -> as root, if it does not load by itself: modprobe fuse|" +
				"nothing keeps you from mounting here (2 warnings)",
		},
		"a module, a closed device": {
			func(f *Facts) { f.Device = Device{Path: "/dev/fuse", Problem: problem, Module: "/lib/fuse.ko"} },
			"fail device the text -> the step|warn module fuse is not loaded; /lib/fuse.ko is there -> as root: modprobe fuse|1 problem, 1 warning",
		},
		"no modules any more": {
			func(f *Facts) {
				f.Device = Device{Path: "/dev/fuse", Problem: problem, Absent: true, Module: "/lib/fuse.ko", Locked: true}
			},
			"fail device the text -> the step|fail module fuse is not loaded, and this kernel loads no modules any more (kernel.modules_disabled)",
		},
		"no /proc/filesystems": {func(f *Facts) { f.Device.Known, f.Device.KnownErr = false, "gone" }, "unknown module whether the kernel has FUSE: gone|nothing keeps you from mounting here (1 thing unknown)"},
		"no helper":            {func(f *Facts) { f.Program = Program{Problem: problem} }, "fail program the text -> the step"},
		"no helper, root":      {func(f *Facts) { f.Program, f.Process.Admin = Program{Problem: problem}, true }, "note program the text -> root can mount without it; others cannot: the step"},
		"setuid, not root's":   {func(f *Facts) { f.Program.Owner = 5 }, "fail program /usr/bin/fusermount3 is set-user-ID, but its owner is user 5 -> as root: chown root /usr/bin/fusermount3 && chmod u+s"},
		"setuid, in a namespace": {
			func(f *Facts) { f.Program.Owner, f.System.InitialUser = 65534, false },
			"fail program /usr/bin/fusermount3 is set-user-ID, but its owner is user 65534 in this user namespace",
		},
		"capability":          {func(f *Facts) { f.Program.Setuid, f.Program.Capability = false, true }, "ok program /usr/bin/fusermount3 has the file capability CAP_SYS_ADMIN"},
		"plain":               {func(f *Facts) { f.Program.Setuid, f.Program.Path = false, "/p x" }, "fail program /p x is neither set-user-ID nor has the file capability CAP_SYS_ADMIN -> as root: chown root '/p x'"},
		"nosuid":              {func(f *Facts) { f.Program.NoSuid = true }, "fail program /usr/bin/fusermount3 lies on a file system that is mounted nosuid, which takes its rights away -> install it elsewhere, or have that mounted suid"},
		"nosuid, where":       {func(f *Facts) { f.Program.NoSuid, f.Program.Under = true, "/m x" }, "-> install it elsewhere, or as root: mount -o remount,suid '/m x'"},
		"no_new_privs":        {func(f *Facts) { f.Process.NoNewPrivs = true }, "fail privilege no_new_privs is set, so that no program gets more rights than you have -> leave this sandbox"},
		"bounding set":        {func(f *Facts) { f.Process.Bounded = true }, "fail privilege the capability bounding set lacks CAP_SYS_ADMIN, so that no program can get it -> start the container with it (--cap-add SYS_ADMIN --device /dev/fuse), or the unit with it in CapabilityBoundingSet="},
		"traced":              {func(f *Facts) { f.Process.Tracer = Holder{5, "gdb"} }, "warn privilege this program is traced by gdb (pid 5)"},
		"few tasks":           {func(f *Facts) { f.Process.Tasks = Tasks{4, "/x/pids.max"} }, "warn processes 4 more processes and threads may run here (/x/pids.max) -> fusermount3 needs 3, sometimes 4,"},
		"many tasks":          {func(f *Facts) { f.Process.Tasks = Tasks{10, "/x/pids.max"} }, ""},
		"root":                {func(f *Facts) { f.UID, f.Process.Admin = 0, true }, "ok privilege you have CAP_SYS_ADMIN|ok allow_other root may always use it|ok mount_max 3 FUSE file systems are mounted, and there is no limit for you"},
		"root without rights": {func(f *Facts) { f.UID = 0 }, "note privilege you are root without CAP_SYS_ADMIN"},
		"no status":           {func(f *Facts) { f.Process.Unknown = "gone" }, "unknown privilege whether this program is traced: gone"},
		"no /proc":            {func(f *Facts) { f.System.Unknown = "gone" }, "unknown namespace whether you are in a user namespace: gone"},
		"namespace":           {func(f *Facts) { f.System.InitialUser, f.System.IDs = false, "0 1000 1" }, "ok namespace a user namespace with mounts of its own (uid_map 0 1000 1)"},
		"outer mounts": {
			func(f *Facts) { f.System.InitialUser, f.System.IDs, f.System.OuterMounts = false, "0 1000 1", true },
			"fail namespace you are in a user namespace (uid_map 0 1000 1), and the mounts belong to an outer one -> make a mount namespace as well: unshare -Urm",
		},
		"container":            {func(f *Facts) { f.System.Container = "lxc" }, "ok container this seems to be one (lxc)"},
		"seccomp":              {func(f *Facts) { f.Process.Filters = 2 }, "warn seccomp a sandbox forbids system calls (seccomp filters: 2) -> if mounting fails"},
		"apparmor":             {func(f *Facts) { f.Process.Profile, f.Process.Mode = "fusermount3", "enforce" }, "warn apparmor the profile 'fusermount3' confines this process (enforce) -> if mounting fails with 'Permission denied', allow the place in /etc/apparmor.d/local/fusermount3, and as root: apparmor_parser -r /etc/apparmor.d/fusermount3"},
		"apparmor, by path":    {func(f *Facts) { f.Process.Profile, f.Process.Mode = "/usr/bin/fusermount3", "enforce" }, "/etc/apparmor.d/local/usr.bin.fusermount3, and"},
		"apparmor, complains":  {func(f *Facts) { f.Process.Profile, f.Process.Mode = "x", "complain" }, "ok apparmor the profile 'x' (complain)"},
		"fuse.conf ignored":    {func(f *Facts) { f.Conf.Problem, f.Conf.Absent = problem, false }, "warn fuse.conf the text; the defaults hold -> the step|note allow_other not for you: a mount with allow_other or allow_root is refused -> the administrator can make /etc/fuse.conf readable (chmod 0644)"},
		"fuse.conf unreadable": {func(f *Facts) { f.Conf.Problem, f.Conf.Fatal = problem, true }, "fail fuse.conf the text -> the step"},
		"fuse.conf for all":    {func(f *Facts) { f.Conf.Problem, f.Conf.Allows = problem, true }, "note allow_other not for you: a mount with allow_other or allow_root is refused -> the administrator can make /etc/fuse.conf owned by root, and writable for root alone"},
		"fuse.conf": {
			func(f *Facts) {
				f.Conf = Conf{Settings: fuseconf.Settings{UserAllowOther: true, MountMax: 3}, Lines: []ConfLine{
					{Number: 2, Text: "user_allow_other"}, {Number: 4, Text: "foo", Warnings: []string{"unknown"}},
				}}
			},
			"warn fuse.conf line 2: user_allow_other; line 4: foo -> line 4: unknown|ok allow_other you may let other users into your mounts|" +
				"fail mount_max 3 FUSE file systems are mounted, and 3 may be -> unmount what nobody needs",
		},
		"fuse.conf, settings": {
			func(f *Facts) {
				f.Conf = Conf{Settings: fuseconf.Defaults(), Lines: []ConfLine{{Number: 1, Text: "mount_max = 9"}}}
			},
			"ok fuse.conf line 1: mount_max = 9",
		},
		"fuse.conf, commented": {
			func(f *Facts) {
				f.Conf = Conf{Settings: fuseconf.Defaults(), Lines: []ConfLine{{Number: 9, Comment: "user_allow_other"}}}
			},
			"ok fuse.conf /etc/fuse.conf sets nothing: the defaults hold|-> the administrator can take the # off line 9 of /etc/fuse.conf",
		},
		"no limit":            {func(f *Facts) { f.Conf.Settings.MountMax = fuseconf.NoLimit }, "ok mount_max 3 FUSE file systems are mounted, and there is no limit for you"},
		"nearly full":         {func(f *Facts) { f.Mounts = make([]Mount, 900) }, "warn mount_max 900 FUSE file systems are mounted, and 1000 may be"},
		"nothing may":         {func(f *Facts) { f.Conf.Settings.MountMax, f.Mounts = 0, nil }, "fail mount_max 0 FUSE"},
		"no table":            {func(f *Facts) { f.MountsUnknown = "gone" }, "unknown mount_max how many FUSE file systems are mounted: gone|unknown mount the mount table: gone|(2 things unknown)"},
		"no fusectl":          {func(f *Facts) { f.Fusectl = false }, "warn fusectl fusectl is not mounted|and 'fusectl abort' needs root -> as root: mount -t fusectl"},
		"no fusectl, root":    {func(f *Facts) { f.Fusectl, f.Process.Admin = false, true }, "note fusectl it is not mounted, which root alone can do without -> as root: mount -t fusectl"},
		"a dead mount":        {func(f *Facts) { f.Mounts = []Mount{dead} }, "warn mount /m x is a mount of type fuse.sshfs whose daemon is gone -> fusermount3 -u '/m x'|nothing keeps you from mounting here (1 warning)"},
		"a hung mount":        {func(f *Facts) { f.Mounts = []Mount{unseen} }, "warn mount /m x is a mount of type fuse.sshfs whose daemon does not answer (requests waiting: 3); used by cp (pid 12), the loop device /dev/loop0 of /m x/i -> " + lost},
		"a slow mount":        {func(f *Facts) { f.Mounts = []Mount{slow} }, "nothing keeps you from mounting here "},
		"not reachable":       {func(f *Facts) { f.Place = &Place{Path: "/x", Problem: problem} }, "fail mountpoint the text -> the step"},
		"fine":                {func(f *Facts) { f.Place = &Place{Path: "/x", Kind: "directory", FSName: "ext4"} }, "ok mountpoint /x can be mounted over: a directory on ext4 that you may write to|nothing keeps you from mounting at /x"},
		"fine, a link":        {func(f *Facts) { f.Place = &Place{Path: "/x", Link: "l", Kind: "file"} }, "ok mountpoint l is a link to /x, which can be mounted over: a file that you may write to"},
		"dead there":          {func(f *Facts) { f.Place, f.Mounts = &Place{Path: "/m x", Mounted: &dead}, []Mount{dead} }, "fail mountpoint /m x is a mount of type fuse.sshfs whose daemon is gone -> fusermount3 -u '/m x'|1 problem"},
		"hung there":          {func(f *Facts) { f.Place = &Place{Path: "/m x", Mounted: &hung} }, "fail mountpoint /m x is a mount of type fuse.sshfs whose daemon sshfs (pid 9) does not answer (requests waiting: 3) and does nothing; used by cp (pid 12), the loop device /dev/loop0 of /m x/i -> it may wait for a network or a disk; if it does not recover, end it (kill 9), or " + lost},
		"stopped there":       {func(f *Facts) { f.Place = &Place{Path: "/m x", Mounted: &stopped} }, "(requests waiting: 3) and is stopped; used by cp|-> kill -CONT 9 lets it go on; otherwise " + lost},
		"blocked there":       {func(f *Facts) { f.Place = &Place{Path: "/m x", Mounted: &blocked} }, "(requests waiting: 3) and is blocked in the kernel (state D); used by cp"},
		"slow there":          {func(f *Facts) { f.Place = &Place{Path: "/m x", Mounted: &slow} }, "warn mountpoint /m x is a mount of type fuse.sshfs whose daemon sshfs (pid 9) has requests to answer (waiting: 3), and may be slow; used by|-> give it time, and check again|no problem was found (1 warning)"},
		"alive there":         {func(f *Facts) { f.Place = &Place{Path: "/m x", Mounted: &healthy} }, "ok mountpoint /m x is a mount of type fuse.sshfs whose daemon is alive|no problem was found"},
		"theirs there":        {func(f *Facts) { f.Place = &Place{Path: "/m x", Mounted: &unknown} }, "fail mountpoint /m x is a FUSE mount of user 1001(bob) -> that user or root can unmount it"},
		"theirs, root":        {func(f *Facts) { f.UID, f.Place = 0, &Place{Path: "/m x", Mounted: &unknown} }, "ok mountpoint /m x is a mount of type fuse.sshfs whose daemon may be alive or not: that is not known"},
		"inside theirs":       {func(f *Facts) { f.Place = &Place{Path: "/m x/y", Through: &unknown} }, "fail mountpoint /m x/y lies inside the FUSE mount /m x of user 1001(bob), which is closed to you ->"},
		"inside theirs, root": {func(f *Facts) { f.UID, f.Place = 0, &Place{Path: "/m x/y", Through: &unknown} }, "warn mountpoint /m x/y lies inside"},
		"inside theirs, open": {func(f *Facts) {
			open := unknown
			open.FSOptions = "user_id=1001,allow_other"
			f.Place = &Place{Path: "/m x/y", Through: &open}
		}, "warn mountpoint /m x/y lies inside"},
		"inside a dead": {func(f *Facts) { f.Place = &Place{Path: "/m x/y", Through: &dead} }, "fail mountpoint /m x/y lies inside: /m x is a mount of type fuse.sshfs whose daemon is gone -> fusermount3 -u '/m x'"},
		"inside":        {func(f *Facts) { f.Place = &Place{Path: "/m x/y", Through: &healthy} }, "warn mountpoint /m x/y lies inside the FUSE mount /m x and was not looked at"},
		"not to ask":    {func(f *Facts) { f.Device.Problem, f.System.SyncInit = problem, Unasked }, "fail device the text -> the step|statmount: yes, sync-init: unknown"},
		"old kernel":    {func(f *Facts) { f.System.NewMount, f.System.Statmount = Absent, Forbidden }, "new mount calls (fsopen): no, statmount: forbidden, sync-init: yes"},
		"no release":    {func(f *Facts) { f.System.Release = "" }, "Linux of unknown version;"},
	} {
		f := well()
		c.change(&f)
		findings := Check(f)
		full := CheckText(findings, f, Style{})
		text := strings.Join(strings.Fields(full), " ")
		for want := range strings.SplitSeq(c.want, "|") {
			if !strings.Contains(text+" ", want) {
				t.Errorf("%s: no %q in\n%s", name, want, full)
			}
		}
		if Failed(findings) != strings.Contains(text, "fail ") {
			t.Errorf("%s: failed is %v", name, Failed(findings))
		}
		if n := strings.Count(full, "\n"); n != len(findings)+1 {
			t.Errorf("%s: %d lines for %d findings", name, n, len(findings))
		}
		subjects := map[string]bool{}
		for _, f := range findings {
			if f.Level == OK && f.Next != "" {
				t.Errorf("%s: ok with a next step: %+v", name, f)
			}
			if subjects[f.Subject] {
				t.Errorf("%s: two findings about %s", name, f.Subject)
			}
			subjects[f.Subject] = true
		}
		if f.Place != nil && findings[0].Subject != "mountpoint" {
			t.Errorf("%s: first about %s", name, findings[0].Subject)
		}
	}
}

// Only the caller's mounts that are dead or hung are named, and that of the path once.
func TestBadMounts(t *testing.T) {
	f := well()
	f.Mounts = nil
	for i := range 30 {
		f.Mounts = append(f.Mounts, Mount{Mountpoint: "/m", Owner: 999 + uint32(i%2), ID: uint64(i), State: Dead})
	}
	f.Place = &Place{Mounted: &f.Mounts[1]}
	found := checkMounts(f)
	mounts := slices.DeleteFunc(found, func(f Finding) bool { return f.Subject != "mount" })
	if len(mounts) != 11 || mounts[10].Text != "4 more are dead or hung" {
		t.Errorf("%d: %+v", len(mounts), mounts)
	}
}

func TestListHints(t *testing.T) {
	dead, hung := Mount{Owner: 5, State: Dead}, Mount{Owner: 5, State: Hung}
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
		{[]Mount{{Owner: 5, State: Waiting}}, 5, true, "waiting"},
		{[]Mount{{State: Unknown}}, 5, false, "unknown"},
		{[]Mount{{State: Alive}}, 5, false, ""},
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
