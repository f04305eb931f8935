package conformance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// What check says of a mountpoint is what mounting says. A link is followed, as by the
// client, and not as by the helper.
func TestCheckMountpoint(t *testing.T) {
	call, home := asUser(t)
	makePlaces(t, home)
	for path, want := range map[string]string{
		"own":        "",
		"file":       "",
		"sticky-own": "",
		"theirs":     "user has no write access to mountpoint",
		"sticky":     "not owned by user",
		"fifo":       "is not a directory or a regular file",
		"nosuch":     "No such file or directory",
		"nosuch/x":   "No such file or directory",
		"file/x":     "Not a directory",
		"closed/x":   "Permission denied",
		"loop/x":     "Too many levels of symbolic links",
	} {
		call.Args = []string{filepath.Join(home, path)}
		lines := findings(t, call, filepath.Join(home, path))
		r := run(t, call)
		if want == "" {
			wantFinding(t, lines, "ok mountpoint", "can be mounted over")
			wantMounted(t, r, filepath.Join(home, path))
			unmount(t, call, filepath.Join(home, path))
			continue
		}
		wantFinding(t, lines, "fail mountpoint", want)
		wantOnly(t, lines, "fail mountpoint")
		first, _, _ := strings.Cut(r.Stderr, "\n")
		if !strings.Contains(first, want) {
			t.Errorf("%s: mounting says %q", path, first)
		}
	}
	lines := findings(t, call, filepath.Join(home, "link"))
	wantFinding(t, lines, "ok mountpoint "+filepath.Join(home, "link")+" is a link to "+filepath.Join(home, "own")+", which can be mounted over", "")
	lines = findings(t, call, "/proc/self/fd")
	wantFinding(t, lines, "fail mountpoint mounting over filesystem type 0x00009fa0 is forbidden (proc)", "-> choose a directory on an ordinary file system")
}

func makePlaces(t *testing.T, home string) {
	t.Helper()
	for name, mode := range map[string]os.FileMode{
		"own": 0o755, "sticky-own": 0o755 | os.ModeSticky, "theirs": 0o755, "sticky": 0o777 | os.ModeSticky, "closed": 0o700,
	} {
		path := filepath.Join(home, name)
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		chmod(t, path, mode)
	}
	writeFile(t, filepath.Join(home, "file"), "")
	for name, target := range map[string]string{"link": "own", "loop": "loop"} {
		if err := os.Symlink(target, filepath.Join(home, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(home, "fifo"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"own", "sticky-own", "file"} {
		if err := os.Chown(filepath.Join(home, name), alice, alice); err != nil {
			t.Fatal(err)
		}
	}
}

// What is mounted there already, alive or not, whoever's; and what lies inside.
func TestCheckMounted(t *testing.T) {
	call, _ := asUser(t)
	fusetest.Control(t)
	theirs := call
	theirs.UID, theirs.GID = bob, bob
	alive, healthy := serveMount(t, call, "subtype=demo")
	dead, gone := serveMount(t, call, "subtype=demo")
	other, _ := serveMount(t, theirs, "")
	wantOnly(t, findings(t, call))
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	lines := findings(t, call)
	wantFinding(t, lines, "warn mount "+dead, "whose daemon is gone -> fusermount3 -u "+dead)
	wantOnly(t, lines, "warn mount")
	for _, c := range []struct{ path, want string }{
		{alive, "ok mountpoint " + alive + " is a mount of type fuse.demo whose daemon is alive"},
		{dead, "fail mountpoint " + dead + " is a mount of type fuse.demo whose daemon is gone -> fusermount3 -u " + dead},
		{other, "fail mountpoint " + other + " is a FUSE mount of user 4343"},
		{alive + "/hello", "warn mountpoint " + alive + "/hello lies inside the FUSE mount " + alive + " and was not looked at"},
		{other + "/x", "fail mountpoint " + other + "/x lies inside the FUSE mount " + other + " of user 4343"},
		{dead + "/x/y", "fail mountpoint " + dead + "/x/y lies inside: " + dead + " is a mount of type fuse.demo whose daemon is gone -> fusermount3 -u " + dead},
	} {
		wantFinding(t, findings(t, call, c.path), c.want, "")
	}
	call.Args = []string{other + "/x"}
	wantRefusal(t, run(t, call), other+"/x", "failed to access mountpoint "+other+"/x: Permission denied")
	if asked := healthy.Asked(); len(asked) > 0 {
		t.Errorf("the daemon was asked: %v", asked)
	}
}

// A mount that hangs is named with who uses it, and as a mount of the system.
func TestCheckHung(t *testing.T) {
	call, _ := asUser(t)
	fusetest.Control(t)
	hung, stuck := serveMount(t, call, "")
	holder(t, alice, "cd "+hung)
	hang(t, hung, stuck)
	before := len(stuck.Asked())
	const lost = "; what was not yet written is lost"
	wantFinding(t, findings(t, call), "warn mount "+hung, "whose daemon does not answer (requests waiting: 1) -> fusectl abort "+hung+" ends the connection"+lost)
	for path, want := range map[string]string{
		hung:        "fail mountpoint " + hung + " is a mount of type fuse whose daemon does not answer (requests waiting: 1); used by",
		hung + "/x": "fail mountpoint " + hung + "/x lies inside: " + hung + " is a mount of type fuse whose daemon does not answer",
	} {
		wantFinding(t, singleBlanks(ctl(t, call, "check", path).Stdout), want, "fusectl abort "+hung+" ends the connection"+lost)
	}
	if asked := stuck.Asked(); len(asked) != before {
		t.Errorf("the daemon was asked: %v", asked)
	}
}

// In a user namespace, where the setuid bit counts for nothing, and where the
// mounts belong to an outer one.
func TestCheckNamespaces(t *testing.T) {
	call, mountpoint := asUser(t)
	unshare := func(flags ...string) []string {
		inside := call
		inside.Prog, inside.Env = "/usr/bin/unshare", []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "FUSERMOUNT_PROG=" + call.Prog}
		r := look(t, inside, append(flags, fusetest.InstallHelper(t, fusectlProgram(t), fusetest.Plain), "check", mountpoint)...)
		if strings.Contains(r.Stderr, "unshare failed") {
			fusetest.Skip(t, "allow users to create user namespaces")
		}
		lines := singleBlanks(r.Stdout)
		return lines[:max(len(lines)-1, 0)] // without the closing line
	}
	lines := unshare("-Ur")
	wantFinding(t, lines, "fail namespace you are in a user namespace (uid_map 0 4242 1), and the mounts belong to an outer one", "unshare -Urm")
	wantOnly(t, lines, "fail namespace")
	lines = unshare("-Um", "--map-user=4242", "--map-group=4242")
	wantFinding(t, lines, "fail program", "is set-user-ID, but its owner is user 65534 in this user namespace")
	lines = unshare("-Urm")
	wantFinding(t, lines, "ok namespace a user namespace with mounts of its own (uid_map 0 4242 1)", "")
	wantFinding(t, lines, "ok privilege you have CAP_SYS_ADMIN", "")
	wantOnly(t, lines)
}

// The signs of a container are told.
func TestCheckContainer(t *testing.T) {
	call, _ := asUser(t)
	writeFile(t, "/run/systemd/container", "systemd-nspawn\n")
	t.Cleanup(func() { _ = os.RemoveAll("/run/systemd") })
	wantFinding(t, findings(t, call), "ok container this seems to be one (systemd-nspawn)", "")
}
