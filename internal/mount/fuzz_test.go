package mount

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fsparam"
	"github.com/go-fusermount/fusermount/internal/fuseconf"
	"github.com/go-fusermount/fusermount/internal/fusedev"
	"github.com/go-fusermount/fusermount/internal/policy"
)

// plainData is all that mount(2) may get as its data: the kernel splits it at each comma,
// whatever precedes it.
var plainData = regexp.MustCompile(`^fd=7,rootmode=40000,user_id=[0-9]+,group_id=[0-9]+` +
	`(,max_read=[0-9]+)?(,blksize=[0-9]+)?(,allow_other)?(,default_permissions)?$`)

// FuzzParams follows an option list to the last step before the kernel, for both ways to
// mount. Of its text only the source and the subtype get there, each as one value
// (CVE-2018-10906).
func FuzzParams(f *testing.F) {
	f.Add(`ro,fsname=x\,allow_other,max_read=5`, uint32(1000), uint32(100), true)
	f.Fuzz(func(t *testing.T, options string, uid, gid uint32, allowOther bool) {
		plan, _, err := policy.Mount(policy.MountFacts{
			Caller:     policy.Caller{UID: uid, GID: gid},
			Settings:   fuseconf.Settings{UserAllowOther: allowOther, MountMax: fuseconf.NoLimit},
			Mountpoint: policy.Mountpoint{Mode: 0o40755, Writable: true, FSType: 0xEF53},
			Device:     fusedev.Path,
		}, options)
		if err != nil {
			return
		}
		params, _ := plan.Params()
		data := params.Data(7)
		if !plainData.MatchString(data) || len(data) > 200 {
			t.Fatalf("%q gives the data %q", options, data)
		}
		may := (uid == 0 || allowOther) && params.AllowOther
		if slices.Contains(strings.Split(data, ","), "allow_other") != may || slices.Contains(params.SuperFlags(), "allow_other") != may {
			t.Fatalf("%q: allow_other in %q, %q", options, data, params.SuperFlags())
		}
		wantPairs(t, params)
		const must = unix.MS_NOSUID | unix.MS_NODEV
		const mustAttr = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV
		if uid != 0 && (params.Flags()&must != must || params.Attributes()&mustAttr != mustAttr) {
			t.Fatalf("%q: flags %#x, attributes %#x", options, params.Flags(), params.Attributes())
		}
		if typ := params.Driver(); typ != "fuse" && (uid != 0 || typ != "fuseblk") {
			t.Fatalf("%q: type %q", options, typ)
		}
	})
}

// wantPairs checks that each key of fsconfig comes once, with a plain number except for
// the two names.
func wantPairs(t *testing.T, params fsparam.Params) {
	t.Helper()
	keys := map[string]bool{}
	for _, p := range params.Pairs(7) {
		switch p.Key {
		case "source", "subtype":
			if p.Value != params.Source && p.Value != params.Subtype {
				t.Fatalf("%s is %q of %+v", p.Key, p.Value, params)
			}
		case "fd", "rootmode", "user_id", "group_id", "max_read", "blksize":
			if strings.Trim(p.Value, "0123456789") != "" || p.Value == "" {
				t.Fatalf("%s is %q", p.Key, p.Value)
			}
		default:
			t.Fatalf("an unknown key %q", p.Key)
		}
		if keys[p.Key] {
			t.Fatalf("%s is set twice", p.Key)
		}
		keys[p.Key] = true
	}
	for _, name := range params.SuperFlags() {
		if !slices.Contains([]string{"allow_other", "default_permissions", "ro", "sync", "dirsync"}, name) {
			t.Fatalf("an unknown flag %q", name)
		}
	}
}

// FuzzSplit checks that a path is its parent and one name, with nothing lost or added.
func FuzzSplit(f *testing.F) {
	f.Add("/a//b/")
	f.Fuzz(func(t *testing.T, path string) {
		if path == "" {
			return // refused before
		}
		parts := func(s string) []string { return strings.FieldsFunc(s, func(r rune) bool { return r == '/' }) }
		dir, name := split(path)
		want := parts(path)
		got := append(parts(dir), name)
		switch {
		case len(want) == 0: // the root directory
			want = []string{"."}
		case len(want) == 1 && path[0] != '/': // relative: the parent is the current directory
			want = append([]string{"."}, want...)
		}
		if strings.Contains(name, "/") || name == "" || dir == "" || (path[0] == '/') != (dir[0] == '/') ||
			!slices.Equal(got, want) || (len(dir) > 1 && strings.HasSuffix(dir, "/")) {
			t.Fatalf("split(%q) = %q, %q", path, dir, name)
		}
		if strings.Trim(path, "/") != "" && strings.HasPrefix(path, "/") && !slices.Equal(parts(join(dir, name)), want) && name != "." {
			t.Fatalf("join(%q, %q) = %q", dir, name, join(dir, name))
		}
	})
}

// FuzzContextLog checks that the messages of a context are read to their end, and bounded.
func FuzzContextLog(f *testing.F) {
	f.Add("e fuse: Bad value for 'fd'\n", "w x", 2)
	f.Fuzz(func(t *testing.T, first, more string, n int) {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(pair[1])
		for _, message := range append([]string{first}, slices.Repeat([]string{more}, max(n, 0)%20)...) {
			if err := unix.Send(pair[0], []byte(message[:min(len(message), 4096)]), unix.MSG_NOSIGNAL); err != nil {
				t.Fatal(err)
			}
		}
		if err := unix.Close(pair[0]); err != nil {
			t.Fatal(err)
		}
		if text := fsparam.Messages(pair[1]); len(text) > 8*1026 {
			t.Fatalf("%d bytes: %q", len(text), text)
		}
	})
}
