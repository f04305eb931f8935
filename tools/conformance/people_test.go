package conformance

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// What fusectl prints, and that no daemon has a part in it.

// blink is more than any of these may take, hung daemons or not: they look for three
// seconds, and the machine may be busy.
const blink = 10 * time.Second

// look runs a program without a socket, and wants it to be prompt.
func look(t *testing.T, call helpertest.Call, args ...string) helpertest.Result {
	t.Helper()
	call.Socket, call.Args, call.Dir = helpertest.NoSocket, args, "/"
	r := run(t, call)
	if r.Elapsed > blink {
		t.Errorf("%v took %v", args, r.Elapsed)
	}
	return r
}

// listedMount is what the JSON of the list has of a mount.
type listedMount struct {
	Mountpoint string
	SourceHex  string `json:"source_hex"`
	Source     string
	Type       string
	Owner      *uint32
	OwnerName  *string  `json:"owner_name"`
	Options    []string `json:"options"`
	FSOptions  []string `json:"fs_options"`
	MountID    uint64   `json:"mount_id"`
	Connection int
	State      string
	Waiting    *int
	PIDs       []int
	Stopped    bool
	Blocked    bool
}

// listJSON gives the mounts by their mountpoints.
func listJSON(t *testing.T, call helpertest.Call) map[string]listedMount {
	t.Helper()
	r := ctl(t, call, "list", "--json")
	var document struct {
		Version int
		Mounts  []listedMount
	}
	if err := json.Unmarshal([]byte(r.Stdout), &document); err != nil || document.Version != 1 || r.Exit != 0 || r.Stderr != "" {
		t.Fatalf("exit %d, %q, %v: %s", r.Exit, r.Stderr, err, r.Stdout)
	}
	mounts := map[string]listedMount{}
	for _, m := range document.Mounts {
		mounts[m.Mountpoint] = m
	}
	return mounts
}

// serveMount mounts with the helper, and serves the mount until the test's end.
func serveMount(t *testing.T, call helpertest.Call, options string) (mountpoint string, s *fuseserver.Server) {
	t.Helper()
	mountpoint = fusetest.Dir(t, call.UID)
	call.Args = []string{"-o", options, mountpoint}
	r := run(t, call)
	wantMounted(t, r, mountpoint)
	s = fuseserver.Serve(r.Dev, fuseserver.Tree{Files: map[string][]byte{"hello": []byte("hello, world\n")}})
	t.Cleanup(func() { _ = s.Close() }) // an aborted one has ended
	<-s.Ready()
	return mountpoint, s
}

// hang makes a daemon hang, with one request that waits for it. What the waiting
// process gets in the end comes over the channel.
func hang(t *testing.T, mountpoint string, s *fuseserver.Server) <-chan error {
	t.Helper()
	s.Hang()
	before := len(s.Asked())
	got := make(chan error, 1)
	go func() {
		got <- fusetest.AsUser(alice, alice, func() error {
			var st unix.Stat_t
			return unix.Stat(filepath.Join(mountpoint, "absent"), &st)
		})
	}()
	s.AwaitAsked(t, before)
	return got
}

func TestList(t *testing.T) {
	addUsers(t)
	call, _ := asUser(t)
	theirs := call
	theirs.UID, theirs.GID = bob, bob
	mine, served := serveMount(t, call, "fsname=a\x1b[31m\u202e\xff,subtype=demo")
	dead, gone := serveMount(t, call, "ro")
	stuck, hung := serveMount(t, call, "fsname=x")
	other, others := serveMount(t, theirs, "")
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	hang(t, stuck, hung)
	fusetest.Control(t)
	want := map[string]string{mine: "alive", dead: "dead", stuck: "hung", other: "unknown"}
	mounts := listJSON(t, call)
	wantStates(t, mounts, want)
	wantRow(t, mounts[mine])
	r := ctl(t, call, "list")
	for _, words := range []string{
		"MOUNTPOINT STATE TYPE SOURCE OWNER ID CONN OPTIONS",
		mine + ` alive fuse.demo a\033[31m\342\200\256` + "\xff" + ` 4242(alice) `,
		dead + " dead fuse /dev/fuse 4242(alice) ",
		other + " unknown fuse /dev/fuse 4343(bob) ",
	} {
		if !strings.Contains(strings.Join(strings.Fields(r.Stdout), " "), words) {
			t.Errorf("no %q in\n%s", words, r.Stdout)
		}
	}
	wantHint(t, r, "'fusermount3 -u MOUNTPOINT' unmounts it")
	wantHint(t, r, "'fusectl check MOUNTPOINT' says why")
	root := call
	root.KeepRoot = true
	want[other] = "alive"
	wantStates(t, listJSON(t, root), want)
	for _, s := range []*fuseserver.Server{served, gone, others} {
		if asked := s.Asked(); len(asked) > 0 {
			t.Errorf("a daemon was asked: %v", asked)
		}
	}
	if asked := hung.Asked(); len(asked) != 1 {
		t.Errorf("the hung daemon was asked: %v", asked)
	}
}

func wantStates(t *testing.T, got map[string]listedMount, want map[string]string) {
	t.Helper()
	for mountpoint, state := range want {
		m := got[mountpoint]
		if m.State != state || (m.Waiting == nil) != (state == "unknown") {
			t.Errorf("%+v; want it to be %s", m, state)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d mounts: %+v", len(got), got)
	}
}

// wantRow compares all that the list says of a mount with mountinfo.
func wantRow(t *testing.T, m listedMount) {
	t.Helper()
	line, found := fusetest.FindMount(t, m.Mountpoint)
	if !found || m.SourceHex != "611b5b33316de280aeff" || m.Type != line.FSType || m.MountID == 0 ||
		m.Owner == nil || *m.Owner != alice || m.OwnerName == nil || *m.OwnerName != "alice" ||
		strings.Join(m.Options, ",") != line.Options || strings.Join(m.FSOptions, ",") != line.SuperOptions {
		t.Errorf("%+v\n%+v", m, line)
	}
	if _, err := os.Stat(filepath.Join(fusetest.ControlPath, strings.TrimPrefix(line.Device, "0:"))); err != nil ||
		line.Device != "0:"+jsonNumber(m.Connection) {
		t.Errorf("connection %d, device %s: %v", m.Connection, line.Device, err)
	}
}

func jsonNumber(n int) string {
	text, _ := json.Marshal(n)
	return string(text)
}

// While the kernel waits for a daemon's INIT, before there is a mount at all,
// nobody has to wait with it.
func TestListDuringSyncInit(t *testing.T) {
	call, mountpoint := syncCall(t, "")
	fusetest.Control(t)
	s := startSync(t, call, mountpoint)
	s.serve(t, fuseserver.Options{HangBeforeInit: true})
	s.answer(t)
	s.waitCreating(t)
	if r := ctl(t, call, "list"); r.Exit != 1 || r.Stdout+r.Stderr != "" { // nothing is mounted
		t.Errorf("exit %d: %s%s", r.Exit, r.Stdout, r.Stderr)
	}
	if r := ctl(t, call, "check", mountpoint); r.Exit != 0 {
		t.Errorf("exit %d: %s%s", r.Exit, r.Stdout, r.Stderr)
	}
	if err := s.server.Close(); err != nil {
		t.Error(err)
	}
	if err := s.CloseSocket(); err != nil {
		t.Fatal(err)
	}
	s.wantFailed(t, "the caller closed the socket")
}

// A hung daemon delays neither the unmount nor what tells of it.
func TestHungDaemonDelaysNobody(t *testing.T) {
	call, _ := asUser(t)
	fusetest.Control(t)
	mountpoint, s := serveMount(t, call, "default_permissions")
	answer := hang(t, mountpoint, s)
	for _, args := range [][]string{
		{"list"},
		{"list", "--json"},
		{"list", mountpoint},
		{"list", mountpoint + "/absent/x"},
		{"check"},
		{"check", mountpoint},
		{"check", mountpoint + "/absent/x"},
	} {
		ctl(t, call, args...)
	}
	look(t, call, "-u", mountpoint)
	look(t, call, "-u", "-z", mountpoint)
	wantNothing(t, mountpoint)
	if asked := s.Asked(); len(asked) != 1 {
		t.Errorf("the daemon was asked: %v", asked)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-answer; err == nil {
		t.Error("a daemon that is gone has answered")
	}
}
