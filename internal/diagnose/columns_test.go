package diagnose

import (
	"strings"
	"testing"
)

func listed() []Mount {
	return []Mount{
		{
			Mountpoint: "/home/alice/a long directory name/mnt", Source: "alice@host.example.org:/srv", Type: "fuse.sshfs",
			Owner: 1000, OwnerName: "alice", Options: "rw,nosuid,nodev", FSOptions: "rw,user_id=1000,group_id=5,allow_other",
			ID: 123, Connection: 44, State: Alive,
		},
		{Mountpoint: "/m\x1b[2J", Source: "日本", Type: "fuse", ID: 7, Connection: 7340032, State: Unknown, Options: "ro"},
		{Mountpoint: "/z", Type: "fuseblk.ntfs-3g", Owner: 4294967295, State: Hung, Options: "rw", FSOptions: "ro,blksize=4096"},
	}
}

// Nothing is cut: columns go, and neither the mountpoint nor the state.
func TestListText(t *testing.T) {
	for width, want := range map[int]string{
		0: `
MOUNTPOINT                             STATE    TYPE             SOURCE                       OWNER         ID     CONN  OPTIONS
/home/alice/a long directory name/mnt  alive    fuse.sshfs       alice@host.example.org:/srv  1000(alice)  123       44  rw,nosuid,nodev,allow_other
/m\033[2J                              unknown  fuse             日本                         0              7  7340032  ro
/z                                     hung     fuseblk.ntfs-3g                               4294967295     0        0  rw,ro,blksize=4096
`,
		130: `
MOUNTPOINT                             STATE    TYPE             SOURCE                       OWNER         ID     CONN
/home/alice/a long directory name/mnt  alive    fuse.sshfs       alice@host.example.org:/srv  1000(alice)  123       44
/m\033[2J                              unknown  fuse             日本                         0              7  7340032
/z                                     hung     fuseblk.ntfs-3g                               4294967295     0        0
`,
		80: `
MOUNTPOINT                             STATE    TYPE
/home/alice/a long directory name/mnt  alive    fuse.sshfs
/m\033[2J                              unknown  fuse
/z                                     hung     fuseblk.ntfs-3g
`,
		20: `
MOUNTPOINT                             STATE
/home/alice/a long directory name/mnt  alive
/m\033[2J                              unknown
/z                                     hung
`,
	} {
		if got := "\n" + ListText(listed(), Style{Width: width}); got != want {
			t.Errorf("width %d:%s\nwant:%s", width, got, want)
		}
	}
	if got := ListText(nil, Style{Width: 80}); got != "" {
		t.Errorf("of nothing: %q", got)
	}
}

// Colours take no room, and no name can bring its own.
func TestListColours(t *testing.T) {
	plain, coloured := ListText(listed(), Style{}), ListText(listed(), Style{Colour: true})
	for _, word := range []string{"\033[32malive\033[0m    fuse.sshfs", "\033[31mhung\033[0m ", "\033[35munknown\033[0m  fuse "} {
		if !strings.Contains(coloured, word) {
			t.Errorf("no %q in %q", word, coloured)
		}
	}
	if got := strings.NewReplacer("\033[32m", "", "\033[31m", "", "\033[35m", "", "\033[0m", "").Replace(coloured); got != plain {
		t.Errorf("%s\nwant %s", got, plain)
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
