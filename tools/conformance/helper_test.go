package conformance

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

const (
	alice = helpertest.Alice
	bob   = helpertest.Bob
)

// Short names for what most tests do.
var (
	helperProgram = helpertest.Program
	must          = helpertest.Must
	run           = helpertest.Run
)

// ctl runs fusectl, which finds the helper of the call, and wants it to be prompt.
func ctl(t *testing.T, call helpertest.Call, args ...string) helpertest.Result {
	t.Helper()
	call.Env = append(slices.Clone(call.Env), "FUSERMOUNT_PROG="+call.Prog)
	call.Prog = fusetest.InstallHelper(t, fusectlProgram(t), fusetest.Plain)
	return look(t, call, args...)
}

// fusectlProgram lies beside the helper under test.
func fusectlProgram(t *testing.T) string {
	t.Helper()
	program := filepath.Join(filepath.Dir(helperProgram(t)), "fusectl")
	if _, err := os.Stat(program); err != nil {
		fusetest.Skip(t, "put fusectl beside the helper: 'make build' does: "+err.Error())
	}
	return program
}

// asUser prepares a call of the setuid helper by an ordinary user, and a
// mountpoint of theirs.
func asUser(t *testing.T) (call helpertest.Call, mountpoint string) {
	t.Helper()
	fusetest.NeedRoot(t)
	fusetest.NeedDevice(t)
	program := helpertest.Install(t)
	mountpoint = fusetest.Dir(t, alice)
	return helpertest.Call{Prog: program, UID: alice, GID: alice, Dir: "/", Args: []string{mountpoint}}, mountpoint
}

// rounds is how often a test tries something: n times, or with -short, as on an emulated
// processor, a tenth of that and at least three times.
func rounds(n int) int {
	if testing.Short() {
		return max(3, n/10)
	}
	return n
}

// unmount runs -u, which must succeed.
func unmount(t *testing.T, call helpertest.Call, mountpoint string) {
	t.Helper()
	call = helpertest.Call{Prog: call.Prog, Env: call.Env, UID: call.UID, GID: call.GID, KeepRoot: call.KeepRoot, Dir: "/", Socket: helpertest.NoSocket}
	call.Args = []string{"-u", mountpoint}
	if r := run(t, call); r.Exit != 0 || r.Stderr != "" {
		t.Fatalf("unmount: exit %d, signal %v: %s", r.Exit, r.Signal, r.Stderr)
	}
	wantNothing(t, mountpoint)
}

func wantMounted(t *testing.T, r helpertest.Result, mountpoint string) {
	t.Helper()
	line, found := fusetest.FindMount(t, mountpoint)
	if r.Exit != 0 || r.Dev == nil || r.NFDs != 1 || string(r.Bytes) != "\x00" || r.Truncated || !found {
		t.Fatalf("exit %d, %d descriptors, bytes %q, mounted %v: %s", r.Exit, r.NFDs, r.Bytes, found, r.Stderr)
	}
	if !line.HasOption("nosuid") || !line.HasOption("nodev") {
		t.Errorf("mounted with %s", line.Options)
	}
}

func wantNothing(t *testing.T, mountpoint string) {
	t.Helper()
	if line, found := fusetest.FindMount(t, mountpoint); found {
		t.Errorf("still mounted: %+v", line)
	}
}

// wantRefusal wants exit 1, one line of error that contains text, and nothing
// mounted or sent.
func wantRefusal(t *testing.T, r helpertest.Result, mountpoint, text string) {
	t.Helper()
	first, rest, _ := strings.Cut(r.Stderr, "\n")
	if r.Exit != 1 || r.NFDs != 0 || !strings.Contains(first, text) {
		t.Errorf("exit %d, %d descriptors, %q; want 1, 0, %q", r.Exit, r.NFDs, r.Stderr, text)
	}
	if rest != "" && !strings.Contains(rest, ": hint: ") {
		t.Errorf("more than an error and a hint: %q", r.Stderr)
	}
	wantNothing(t, mountpoint)
}
