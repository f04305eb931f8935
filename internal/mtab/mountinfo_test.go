package mtab

import (
	"errors"
	"testing"
)

func TestFuseIn(t *testing.T) {
	got, err := fuseIn(`21 1 8:1 / / rw - ext4 /dev/sda1 rw
30 21 0:40 / /a\040-\040fuse rw,relatime shared:5 - tmpfs x rw
31 21 0:41 / /sys/fs/fuse/connections rw - fusectl fusectl rw
32 21 0:42 / /m\040x rw,nosuid - fuse.sshfs h:\134 rw,user_id=5,allow_other
33 32 7:0 /sub /m\040x ro shared:1 master:2 - fuseblk /dev/loop0 rw,user_id=0
`)
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	want := Entry{
		ID: 32, Parent: 21, Minor: 42, Mountpoint: "/m x", Type: "fuse.sshfs", Source: `h:\`,
		NoSuid: true, Options: "rw,nosuid", SuperOptions: "rw,user_id=5,allow_other",
	}
	if got[0] != want {
		t.Errorf("%+v, want %+v", got[0], want)
	}
	if got[1].ID != 33 || got[1].Major != 7 || got[1].Options != "ro" || got[1].Type != "fuseblk" {
		t.Errorf("%+v", got[1])
	}
	if _, err := fuseIn("1 2 - fuse x"); !errors.Is(err, errMalformed) {
		t.Error(err)
	}
}
