package policy

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fsparam"
	"github.com/go-fusermount/fusermount/internal/fstypes"
	"github.com/go-fusermount/fusermount/internal/fuseconf"
)

var user = Caller{UID: 1000, GID: 100}

// good are facts with which a user may mount.
func good() MountFacts {
	return MountFacts{
		Caller:   user,
		Settings: fuseconf.Defaults(),
		Device:   "/dev/fuse",
		Mountpoint: Mountpoint{
			Path: "/home/u/mnt", Mode: 0o40755,
			Owner: 1000, Writable: true, FSType: 0xEF53,
		},
	}
}

func with(change func(*MountFacts)) MountFacts {
	f := good()
	change(&f)
	return f
}

func asRoot(f *MountFacts) { f.Caller = Caller{} }

func TestMountRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		facts   MountFacts
		options string
		want    string
	}{
		"limit": {
			with(func(f *MountFacts) { f.Mounted = 1000 }), "",
			"too many FUSE filesystems mounted; mount_max=N can be set in /etc/fuse.conf",
		},
		"limit before the mountpoint": {
			with(func(f *MountFacts) { f.Settings.MountMax = 0; f.Mountpoint.Mode = 0o120777 }), "",
			"too many FUSE filesystems mounted; mount_max=N can be set in /etc/fuse.conf",
		},
		"special file": {
			with(func(f *MountFacts) { f.Mountpoint.Mode = 0o120777 }), "",
			"mountpoint /home/u/mnt is not a directory or a regular file",
		},
		"special file for root": {
			with(func(f *MountFacts) { asRoot(f); f.Mountpoint.Mode = 0o120777 }), "",
			"mountpoint /home/u/mnt is not a directory or a regular file",
		},
		"sticky": {
			with(func(f *MountFacts) { f.Mountpoint.Mode |= sticky; f.Mountpoint.Owner = 0 }), "",
			"mountpoint /home/u/mnt not owned by user",
		},
		"not writable": {
			with(func(f *MountFacts) { f.Mountpoint.Writable = false }), "foo",
			"user has no write access to mountpoint /home/u/mnt",
		},
		"procfs": {
			with(func(f *MountFacts) { f.Mountpoint.FSType = 0x9fa0 }), "foo",
			"mounting over filesystem type 0x00009fa0 is forbidden (proc)",
		},
		"unlisted": {
			with(func(f *MountFacts) { f.Mountpoint.FSType = 0x12345678 }), "",
			"mounting over filesystem type 0x12345678 is forbidden (unknown to this program)",
		},
		"unknown option": {good(), "ro,foo", "unknown option 'foo'"},
		"bad value":      {good(), "max_read=x", "invalid option 'max_read=x': the value must be a decimal number up to 4294967295"},
		"allow_other": {
			good(), "allow_other",
			"option allow_other only allowed if 'user_allow_other' is set in /etc/fuse.conf",
		},
		"allow_root": {
			good(), "allow_root",
			"option allow_root only allowed if 'user_allow_other' is set in /etc/fuse.conf",
		},
		"allow_root, permitted": {
			with(func(f *MountFacts) { f.Settings.UserAllowOther = true }), "allow_root",
			"unknown option 'allow_root'",
		},
		"x-options": {good(), "x-" + strings.Repeat("a", maxUserspace), "the x-* options have 4099 bytes, and may have 4096"},
		"blkdev":    {good(), "blkdev", "option blkdev is privileged"},
		"blkdev without fuseblk": {
			with(asRoot), "blkdev", "'fuseblk' support missing",
		},
	} {
		plan, _, err := Mount(c.facts, c.options)
		var refusal *Refusal
		if !errors.As(err, &refusal) || refusal.Reason != c.want {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
		if _, granted := plan.Params(); granted {
			t.Errorf("%s: refused and granted", name)
		}
	}
}

func TestMountGrants(t *testing.T) {
	all := with(func(f *MountFacts) {
		f.Settings.UserAllowOther = true
		f.Settings.MountMax = fuseconf.NoLimit
		f.Mounted = 1 << 20
	})
	for name, c := range map[string]struct {
		facts   MountFacts
		options string
		want    fsparam.Params
	}{
		"defaults":                     {good(), "", fsparam.Params{Source: "/dev/fuse", NoSuid: true, NoDev: true}},
		"suid and dev are ignored":     {good(), "suid,dev", fsparam.Params{Source: "/dev/fuse", NoSuid: true, NoDev: true}},
		"a subtype is the source, too": {good(), "subtype=s", fsparam.Params{Source: "s", Subtype: "s", NoSuid: true, NoDev: true}},
		"names":                        {good(), "subtype=s,fsname=n", fsparam.Params{Source: "n", Subtype: "s", NoSuid: true, NoDev: true}},
		"permitted":                    {all, "allow_other", fsparam.Params{Source: "/dev/fuse", NoSuid: true, NoDev: true, AllowOther: true}},
		"foreign numbers":              {good(), "user_id=0,group_id=0,fd=0,rootmode=40000", fsparam.Params{Source: "/dev/fuse", NoSuid: true, NoDev: true}},
	} {
		plan, _, err := Mount(c.facts, c.options)
		got, granted := plan.Params()
		c.want.UserID, c.want.GroupID, c.want.RootMode = 1000, 100, 0o40000
		if err != nil || !granted || got != c.want {
			t.Errorf("%s: %+v, %v, %v; want %+v", name, got, granted, err, c.want)
		}
	}
	plan, _, err := Mount(with(func(f *MountFacts) {
		asRoot(f)
		f.FuseBlk = true
		f.Mountpoint.FSType, f.Mountpoint.Writable = 0x9fa0, false
		f.Mountpoint.Mode |= sticky
		f.Mounted = 5000
	}), "suid,dev,blkdev,allow_other")
	if got, _ := plan.Params(); err != nil || got.NoSuid || got.NoDev || !got.BlockDevice || !got.AllowOther {
		t.Errorf("root: %+v, %v", got, err)
	}
	if _, granted := (Plan{}).Params(); granted {
		t.Error("a plan that nobody made is granted")
	}
}

func TestMountNotices(t *testing.T) {
	_, notices, err := Mount(good(), "suid,large_read,dev")
	want := "option large_read is obsolete and ignored|unsafe option dev ignored|unsafe option suid ignored"
	if got := strings.Join(notices, "|"); err != nil || got != want {
		t.Errorf("notices %q, %v; want %q", got, err, want)
	}
}

// An administrator can allow more types, and the hint says so.
func TestMountOver(t *testing.T) {
	f := good()
	f.Mountpoint.FSType = 0x01021997
	_, _, err := Mount(f, "")
	var refusal *Refusal
	if !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, "(9p)") || !strings.Contains(refusal.Advice, "mount_over = 9p to /etc/fuse.conf") {
		t.Errorf("%+v", refusal)
	}
	f.Settings.MountOver, _ = fstypes.Allowable("9p")
	if _, _, err := Mount(f, ""); err != nil {
		t.Errorf("allowed, and %v", err)
	}
	f.Settings.MountOver = 1<<64 - 1
	for _, f.Mountpoint.FSType = range views {
		if _, _, err := Mount(f, ""); !errors.As(err, &refusal) || strings.Contains(refusal.Advice, "mount_over") {
			t.Errorf("over %#x: %v", f.Mountpoint.FSType, err)
		}
	}
}

func TestAllowOtherHint(t *testing.T) {
	for advice, want := range map[string]string{
		"":        "leave the option out, or ask the administrator to add the line user_allow_other to /etc/fuse.conf",
		"do this": "leave the option out, or ask the administrator to do this",
	} {
		f := good()
		f.ConfAdvice = advice
		_, _, err := Mount(f, "allow_other")
		var refusal *Refusal
		if !errors.As(err, &refusal) || refusal.Advice != want {
			t.Errorf("%q: %+v, want %q", advice, refusal, want)
		}
	}
}

func TestUnmount(t *testing.T) {
	mine := Mounted{ID: 7, Type: "fuse.sshfs", Owner: 1000, HasOwner: true}
	theirs := Mounted{ID: 8, Type: "fuse", Owner: 100, HasOwner: true}
	tmpfs := Mounted{ID: 9, Type: "tmpfs"}
	for name, c := range map[string]struct {
		facts UnmountFacts
		ok    bool
		hint  string
	}{
		"mine":                              {UnmountFacts{Caller: user, Mountpoint: true, Top: mine}, true, ""},
		"not a mountpoint":                  {UnmountFacts{Caller: user, Top: mine}, false, "nothing is mounted there: name the mountpoint itself, not a link to it or a file inside; 'fusectl list' shows what is mounted"},
		"a neighbour's uid":                 {UnmountFacts{Caller: user, Mountpoint: true, Top: theirs}, false, "it was mounted by user 100, and you are user 1000: that user or root can unmount it"},
		"no owner":                          {UnmountFacts{Caller: user, Mountpoint: true, Top: Mounted{Type: "fuse"}}, false, "the kernel does not say whose mount it is"},
		"no owner, caller's id 0 is root's": {UnmountFacts{Caller: Caller{}, Mountpoint: true, Top: Mounted{Type: "fuse"}}, true, ""},
		"not FUSE":                          {UnmountFacts{Caller: user, Mountpoint: true, Top: tmpfs}, false, "what is mounted there is of type tmpfs, not FUSE: see umount(8)"},
		"not FUSE, root":                    {UnmountFacts{Mountpoint: true, Top: tmpfs}, false, "what is mounted there is of type tmpfs, not FUSE: see umount(8)"},
		"like FUSE":                         {UnmountFacts{Caller: user, Mountpoint: true, Top: Mounted{Type: "fusectl", Owner: 1000, HasOwner: true}}, false, "what is mounted there is of type fusectl, not FUSE: see umount(8)"},
		"root, of a user":                   {UnmountFacts{Mountpoint: true, Top: theirs}, true, ""},
		"lazy, mine inside":                 {UnmountFacts{Caller: user, Lazy: true, Mountpoint: true, Top: mine, Inside: []Mounted{mine}}, true, ""},
		"lazy, theirs inside":               {UnmountFacts{Caller: user, Lazy: true, Mountpoint: true, Top: mine, Inside: []Mounted{mine, theirs}}, false, "a lazy unmount would take it away as well; a mount of type fuse lies inside: unmount it first"},
		"lazy, other inside":                {UnmountFacts{Caller: user, Lazy: true, Mountpoint: true, Top: mine, Inside: []Mounted{tmpfs}}, false, "a lazy unmount would take it away as well; a mount of type tmpfs lies inside: unmount it first"},
		"not lazy, kernel's job":            {UnmountFacts{Caller: user, Mountpoint: true, Top: mine, Inside: []Mounted{tmpfs}}, true, ""},
		"stacked":                           {UnmountFacts{Caller: user, Mountpoint: true, Top: mine, Below: []Mounted{{}}}, true, ""},
		"stacked, mine inside":              {UnmountFacts{Caller: user, Mountpoint: true, Top: mine, Below: []Mounted{{}}, Inside: []Mounted{mine}}, false, "a mount of type fuse.sshfs lies inside: unmount it first"},
		"stacked, other inside, root":       {UnmountFacts{Mountpoint: true, Top: mine, Below: []Mounted{{}}, Inside: []Mounted{tmpfs}}, false, "a mount of type tmpfs lies inside: unmount it first"},
		"stacked, lazy, mine inside":        {UnmountFacts{Caller: user, Mountpoint: true, Top: mine, Below: []Mounted{{}}, Lazy: true, Inside: []Mounted{mine}}, true, ""},
	} {
		plan, err := Unmount(c.facts)
		id, lazy, granted := plan.Terms()
		var refusal *Refusal
		if granted != c.ok || (err == nil) != c.ok || (errors.As(err, &refusal) && refusal.Advice != c.hint) {
			t.Errorf("%s: granted %v, %v; want %v, hint %q", name, granted, err, c.ok, c.hint)
		}
		if granted && (id != c.facts.Top.ID || lazy != c.facts.Detaches()) {
			t.Errorf("%s: plan for %d lazy %v", name, id, lazy)
		}
	}
}

// A mount is unmounted by its name only where all mounts below are the caller's.
func TestDetaches(t *testing.T) {
	mine := Mounted{Type: "fuse", Owner: 1000, HasOwner: true}
	theirs := Mounted{Type: "fuse", Owner: 100, HasOwner: true}
	for name, c := range map[string]struct {
		lazy  bool
		below []Mounted
		want  bool
	}{
		"on a directory":      {false, nil, false},
		"lazy":                {true, nil, true},
		"on mine":             {false, []Mounted{mine, mine}, false},
		"on theirs":           {false, []Mounted{theirs}, true},
		"on mine on theirs":   {false, []Mounted{mine, theirs}, true},
		"on mine on no FUSE":  {false, []Mounted{mine, {Type: "tmpfs", Owner: 1000, HasOwner: true}}, true},
		"on mine, and unseen": {false, []Mounted{mine, {}}, true},
	} {
		if got := (UnmountFacts{Caller: user, Lazy: c.lazy, Below: c.below}).Detaches(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
