package diagnose

import (
	"testing"
)

const narrow = `
MOUNTPOINT            SOURCE      TYPE        OWNER        STATE     ID     CONN
...irectory name/mnt  alice@h...  fuse.sshfs  1000(alice)  alive    123       44
/m\033[2J             日本        fuse        ?            unknown    7  7340032
/z                                fuseblk...  4294967295   hung       0        0
`

func TestListText(t *testing.T) {
	mounts := []Mount{
		{
			Mountpoint: "/home/alice/a long directory name/mnt", Source: "alice@host.example.org:/srv", Type: "fuse.sshfs",
			Owner: 1000, HasOwner: true, OwnerName: "alice", Options: "rw,nosuid,nodev", FSOptions: "rw,user_id=1000,group_id=5,allow_other",
			ID: 123, Connection: 44, State: Alive,
		},
		{Mountpoint: "/m\x1b[2J", Source: "日本", Type: "fuse", ID: 7, Connection: 7340032, State: Unknown, Options: "ro"},
		{Mountpoint: "/z", Type: "fuseblk.ntfs-3g", Owner: 4294967295, HasOwner: true, State: Hung, Options: "rw", FSOptions: "ro,blksize=4096"},
	}
	for width, want := range map[int]string{
		0: `
MOUNTPOINT                             SOURCE                       TYPE             OWNER        STATE     ID     CONN  OPTIONS
/home/alice/a long directory name/mnt  alice@host.example.org:/srv  fuse.sshfs       1000(alice)  alive    123       44  rw,nosuid,nodev,allow_other
/m\033[2J                              日本                         fuse             ?            unknown    7  7340032  ro
/z                                                                  fuseblk.ntfs-3g  4294967295   hung       0        0  rw,ro,blksize=4096
`,
		136: `
MOUNTPOINT                             SOURCE                       TYPE             OWNER        STATE     ID     CONN  OPTIONS
/home/alice/a long directory name/mnt  alice@host.example.org:/srv  fuse.sshfs       1000(alice)  alive    123       44  rw,nosuid,no...
/m\033[2J                              日本                         fuse             ?            unknown    7  7340032  ro
/z                                                                  fuseblk.ntfs-3g  4294967295   hung       0        0  rw,ro,blksiz...
`,
		100: `
MOUNTPOINT                             SOURCE      TYPE           OWNER        STATE     ID     CONN
/home/alice/a long directory name/mnt  alice@h...  fuse.sshfs     1000(alice)  alive    123       44
/m\033[2J                              日本        fuse           ?            unknown    7  7340032
/z                                                 fuseblk.nt...  4294967295   hung       0        0
`,
		80: narrow,
		20: narrow, // nothing is left to be cut
	} {
		if got := "\n" + ListText(mounts, width); got != want {
			t.Errorf("width %d:%s\nwant:%s", width, got, want)
		}
	}
	if got := ListText(nil, 80); got != "no FUSE file system is mounted here\n" {
		t.Errorf("of nothing: %q", got)
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		text    string
		width   int
		keepEnd bool
		want    string
	}{
		{"abcdef", 6, false, "abcdef"},
		{"abcdefg", 6, false, "abc..."},
		{"abcdefg", 6, true, "...efg"},
		{"日本日本", 7, false, "日本..."},
		{"日本日本", 7, true, "...日本"},
		{"日本日本日本", 8, false, "日本..."}, // half a character is none
		{"e\u0301e\u0301e\u0301e\u0301", 4, false, "e\u0301e\u0301e\u0301e\u0301"},
		{"\xff\xff\xff\xff\xff\xff\xff", 6, false, "\xff\xff\xff..."},
	} {
		if got := cut(c.text, c.width, c.keepEnd); got != c.want {
			t.Errorf("cut(%q, %d, %v) = %q, want %q", c.text, c.width, c.keepEnd, got, c.want)
		}
	}
}

// A line that is too long breaks between words and not elsewhere.
func TestFold(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{
		{"", 5, ""},
		{"aa bb cc", 5, "aa bb\n  cc"},
		{"aa bb cc", 4, "aa\n  bb\n  cc"},
		{"aaaaaaaa bb cc", 5, "aaaaaaaa\n  bb cc"},
		{"日本 bb", 7, "日本 bb"},
		{"日本 bb", 6, "日本\n  bb"},
	} {
		if got := fold(c.text, c.width, 2); got != c.want {
			t.Errorf("fold(%q, %d) = %q, want %q", c.text, c.width, got, c.want)
		}
	}
}
