package collect

import (
	"maps"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/diagnose"
	"github.com/go-fusermount/fusermount/internal/fusetest"
)

func TestMain(m *testing.M) { os.Exit(fusetest.RunTests(m)) }

const alice, bob = 4242, 4343

// serve mounts a file system for a test.
func serve(t *testing.T, dir string, uid uint32, options fusetest.MountOptions) *fusetest.Server {
	t.Helper()
	fusetest.NeedDevice(t)
	options.UID, options.GID = uid, uid
	s, err := fusetest.Mount(dir, fusetest.Tree{Files: map[string][]byte{"hello": nil}}, options)
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

func wantUnasked(t *testing.T, s *fusetest.Server) {
	t.Helper()
	if asked := s.Asked(); len(asked) > 0 {
		t.Errorf("the daemon was asked: %v", asked)
	}
}

// as runs f with the ids of a user.
func as(t *testing.T, uid uint32, f func()) {
	t.Helper()
	err := fusetest.AsUser(uid, uid, func() error {
		f()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// statesAs gives the states of mounts, by their mountpoints.
func statesAs(t *testing.T, uid uint32) (got map[string]diagnose.State, hasFusectl bool) {
	t.Helper()
	got = map[string]diagnose.State{}
	as(t, uid, func() {
		mounts, has, err := Mounts()
		if err != nil {
			t.Error(err)
		}
		hasFusectl = has
		for _, m := range mounts {
			got[m.Mountpoint] = m.State
		}
	})
	return got, hasFusectl
}

func TestMounts(t *testing.T) {
	alive, dead, theirs := fusetest.Dir(t, alice), fusetest.Dir(t, alice), fusetest.Dir(t, bob)
	servers := []*fusetest.Server{
		serve(t, alive, alice, fusetest.MountOptions{}), serve(t, dead, alice, fusetest.MountOptions{}),
		serve(t, theirs, bob, fusetest.MountOptions{}),
	}
	frozen := fusetest.Dir(t, alice)
	s, err := fusetest.Mount(frozen, fusetest.Tree{}, fusetest.MountOptions{UID: alice, GID: alice, Server: fusetest.Options{HangBeforeInit: true}})
	if err != nil {
		t.Fatal(err)
	}
	servers = append(servers, s)
	t.Cleanup(func() { _ = s.Close() }) // it never started
	if err := servers[1].Close(); err != nil {
		t.Fatal(err)
	}
	unknown := map[string]diagnose.State{alive: diagnose.Unknown, dead: diagnose.Unknown, theirs: diagnose.Unknown, frozen: diagnose.Unknown}
	if got, has := statesAs(t, alice); has || !maps.Equal(got, unknown) {
		t.Errorf("without fusectl: %v, %v", got, has)
	}
	fusetest.Control(t)
	want := map[string]diagnose.State{alive: diagnose.Alive, dead: diagnose.Dead, theirs: diagnose.Unknown, frozen: diagnose.Hung}
	if got, has := statesAs(t, alice); !has || !maps.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, has, want)
	}
	want[theirs] = diagnose.Alive
	if got, _ := statesAs(t, 0); !maps.Equal(got, want) {
		t.Errorf("as root: %v, want %v", got, want)
	}
	for _, s := range servers {
		wantUnasked(t, s)
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

func TestParseProfile(t *testing.T) {
	for text, want := range map[string][2]string{
		"unconfined\n":                    {},
		"fusermount3 (enforce)\n":         {"fusermount3", "enforce"},
		"/usr/bin/a b (complain)":         {"/usr/bin/a b", "complain"},
		"a//&b (mixed)\n":                 {"a//&b", "mixed"},
		"system_u:system_r:init_t:s0\x00": {},
		"":                                {},
		" (enforce)":                      {},
	} {
		if name, mode := parseProfile(text); [2]string{name, mode} != want {
			t.Errorf("parseProfile(%q) = %q, %q", text, name, mode)
		}
	}
}

func TestFilters(t *testing.T) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	if got := Filters(); (got > 0) != strings.Contains(string(text), "Seccomp:\t2") {
		t.Errorf("%d filters, and the status says %s", got, text)
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
