package collect

import (
	"maps"
	"os"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/diagnose"
	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
)

func TestMain(m *testing.M) { os.Exit(fusetest.RunTests(m)) }

// serve mounts a file system for a test.
func serve(t *testing.T, dir string, uid uint32, options fuseserver.MountOptions) *fuseserver.Server {
	t.Helper()
	fusetest.NeedDevice(t)
	options.UID, options.GID = uid, uid
	s, err := fuseserver.Mount(dir, fuseserver.Tree{Files: map[string][]byte{"hello": nil}}, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	<-s.Ready()
	return s
}

func wantUnasked(t *testing.T, s *fuseserver.Server) {
	t.Helper()
	if asked := s.Asked(); len(asked) > 0 {
		t.Errorf("the daemon was asked: %v", asked)
	}
}

func TestParsePasswd(t *testing.T) {
	got := parsePasswd("root:x:0:0::/:/bin/sh\n\n#c:x:1\nx:y\n:x:5:5::/:\nbig:x:4294967296:\nneg:x:-1:\na:x:7:7\nb:x:7:7\nlast:x:4294967295")
	want := map[uint32]string{0: "root", 1: "#c", 7: "a", 4294967295: "last"}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// A fifo in the place of a file does not make anybody wait.
func TestSmallFileIsFifo(t *testing.T) {
	path := t.TempDir() + "/fifo"
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := smallFile(path); text != "" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}

func TestSmallFileHasAnEnd(t *testing.T) {
	if text, err := smallFile("/dev/zero"); len(text) != maxSmall || err != nil {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}

func TestProcess(t *testing.T) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	if got := Process(); (got.Filters > 0) != strings.Contains(string(text), "Seccomp:\t2") || got.Unknown != "" || got.Tracer.PID != 0 {
		t.Errorf("%+v, and the status says %s", got, text)
	}
}

func TestHasSysAdmin(t *testing.T) {
	for name, c := range map[string]struct {
		attribute []byte
		want      bool
	}{
		"sys_admin": {[]byte{1, 0, 0, 2, 0, 0, 0x20, 0, 0, 0, 0, 0}, true},
		"net_admin": {[]byte{1, 0, 0, 2, 0, 0x10, 0, 0, 0, 0, 0, 0}, false},
		"cut":       {[]byte{1, 0, 0, 2, 0, 0, 0x20}, false},
		"empty":     {nil, false},
	} {
		if got := hasSysAdmin(c.attribute); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestConfLines(t *testing.T) {
	lines := confLines("# user_allow_other\n\nmount_max = 7 # seven\n user_allow_other \nfoo\nmount_max=x")
	want := []diagnose.ConfLine{
		{Number: 1, Comment: "user_allow_other"},
		{Number: 3, Text: "mount_max = 7", Comment: "seven"},
		{Number: 4, Text: "user_allow_other"},
		{Number: 5, Text: "foo", Warnings: []string{"unknown parameter in /etc/fuse.conf at line 5: 'foo'"}},
		{Number: 6, Text: "mount_max=x", Warnings: []string{
			"reading /etc/fuse.conf: missing newline at end of file, line 6", "mount_max is not a number in /etc/fuse.conf at line 6: 'x'",
		}},
	}
	if !reflect.DeepEqual(lines, want) {
		t.Errorf("%+v", lines)
	}
}
