package fsparam

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/mountopts"
)

func all() Params {
	n := func(value uint32) mountopts.Number { return mountopts.Number{Given: true, Value: value} }
	return Params{
		BlockDevice: true, Subtype: "s", Source: "a,b",
		ReadOnly: true, Sync: true, DirSync: true,
		NoSuid: true, NoDev: true, NoExec: true, NoAtime: true, NoDirAtime: true, NoSymfollow: true,
		UserID: 1000, GroupID: 4294967294, RootMode: unix.S_IFDIR, AllowOther: true, DefaultPermissions: true,
		MaxRead: n(0), BlkSize: n(4096),
	}
}

func TestForms(t *testing.T) {
	p := all()
	const data = "fd=7,rootmode=40000,user_id=1000,group_id=4294967294,max_read=0,blksize=4096,allow_other,default_permissions"
	if got := p.Data(7); got != data {
		t.Errorf("Data = %q, want %q", got, data)
	}
	if got, want := p.Attributes(), unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC|
		unix.MOUNT_ATTR_NOATIME|unix.MOUNT_ATTR_NODIRATIME|unix.MOUNT_ATTR_NOSYMFOLLOW; got != want {
		t.Errorf("Attributes = %#x, want %#x", got, want)
	}
	if got, want := p.Flags(), uintptr(unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_NOATIME|
		unix.MS_NODIRATIME|unix.MS_NOSYMFOLLOW|unix.MS_SYNCHRONOUS|unix.MS_DIRSYNC); got != want {
		t.Errorf("Flags = %#x, want %#x", got, want)
	}
	if got, want := strings.Join(p.Words(), ","), "ro,nosuid,nodev,noexec,noatime,nodiratime,nosymfollow,sync,dirsync"; got != want {
		t.Errorf("Words = %q, want %q", got, want)
	}
	if p.Driver() != "fuseblk" || p.Type() != "fuseblk.s" {
		t.Errorf("%q, %q", p.Driver(), p.Type())
	}
}

func TestNothing(t *testing.T) {
	var p Params
	if p.Attributes() != 0 || p.Flags() != 0 || p.Type() != "fuse" || !slices.Equal(p.Words(), []string{"rw"}) {
		t.Errorf("%#x, %#x, %q, %q", p.Attributes(), p.Flags(), p.Type(), p.Words())
	}
	if got, want := p.Data(0), "fd=0,rootmode=0,user_id=0,group_id=0"; got != want {
		t.Errorf("Data = %q, want %q", got, want)
	}
}

func TestFits(t *testing.T) {
	for _, c := range []struct {
		source, subtype int
		want            bool
	}{{255, 255, true}, {256, 0, false}, {0, 256, false}} {
		p := Params{Source: strings.Repeat("x", c.source), Subtype: strings.Repeat("x", c.subtype)}
		if p.Fits() != c.want {
			t.Errorf("%d, %d: %v", c.source, c.subtype, p.Fits())
		}
	}
}

// A context is told the same as mount(2): the kernel takes each key.
func TestConfigure(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Params)
		want   string
	}{
		"all that fuse takes":      {func(p *Params) { p.BlkSize = mountopts.Number{} }, ""},
		"what fuseblk alone takes": {func(*Params) {}, "blksize"},
	} {
		t.Run(name, func(t *testing.T) {
			context, err := unix.Fsopen("fuse", unix.FSOPEN_CLOEXEC)
			if err != nil {
				fusetest.Skip(t, "run it as root on Linux 5.2 or later: "+err.Error())
			}
			defer unix.Close(context)
			p := all()
			p.BlockDevice = false
			c.change(&p)
			err = p.Configure(context, 0)
			text := Messages(context)
			if (err != nil) != (c.want != "") || !strings.Contains(text, c.want) {
				t.Errorf("%v: %q", err, text)
			}
		})
	}
}
