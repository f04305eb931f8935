package conformance

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-fusermount/fusermount/internal/ask"
	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// What fusectl list and check find out is looked up alone: nothing is written but to
// the caller, nothing mounted, and no program run. Only by greeting the mount service can check
// find out that it answers.
func TestOnlyLooks(t *testing.T) {
	call, mountpoint := asUser(t)
	addUsers(t)
	for _, args := range [][]string{{"list", "--json"}, {"check", mountpoint}, {"check", "--json"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			tr := newTracer(t)
			call := call
			call.Socket, call.Args, call.Env = helpertest.NoSocket, args, []string{"FUSERMOUNT_PROG=" + call.Prog}
			call.Prog = fusetest.InstallHelper(t, fusectlProgram(t), fusetest.Plain)
			call = tr.wrap(call, "alice")
			calls := slices.IndexFunc(call.Args, func(arg string) bool { return strings.HasPrefix(arg, "trace=") })
			call.Args[calls] += ",%network,capset,setresuid,setfsuid,write,mount,umount2,fsopen"
			if r := run(t, call); r.Exit > 1 || r.Stdout == "" {
				t.Fatalf("exit %d: %s", r.Exit, r.Stderr)
			}
			wantLooks(t, tr.lines(t))
		})
	}
}

var toCaller = regexp.MustCompile(`^write\([12], `)

func wantLooks(t *testing.T, lines []string) {
	t.Helper()
	looks, greeted := 0, regexp.MustCompile(`^socket\(AF_UNIX, SOCK_SEQPACKET|^connect\(.* sun_path="`+ask.Socket+`"`)
	for i, line := range lines {
		name, _, _ := strings.Cut(line, "(")
		switch {
		case greeted.MatchString(line):
		case slices.Contains([]string{"mount", "umount2", "fsopen", "setfsuid", "capset", "setresuid", "socket", "connect", "unlink", "rename"}, name),
			strings.Contains(line, "O_CREAT"), strings.Contains(line, "O_TRUNC"),
			name == "write" && !toCaller.MatchString(line) && !strings.Contains(line, `"\1\0\0\0\0\0\0\0"`): // the runtime's eventfd
			t.Errorf("not a look: %s", line)
		case opened.MatchString(line):
			looks++
		case name == "clone" && !strings.Contains(line, "CLONE_THREAD"), name == "execve" && i > 0:
			t.Errorf("a program: %s", line)
		}
	}
	if looks == 0 {
		t.Errorf("this is no trace of fusectl\n%s", strings.Join(lines, "\n"))
	}
}

// With rights of its file fusectl does nothing.
func TestFusectlRefusesRights(t *testing.T) {
	call, mountpoint := asUser(t)
	for name, mode := range map[string]fusetest.InstallMode{"set-user-ID": fusetest.Setuid, "capability": fusetest.Setcap} {
		call := call
		call.Socket, call.Args = helpertest.NoSocket, []string{"check", mountpoint}
		call.Prog = fusetest.InstallHelper(t, fusectlProgram(t), mode)
		r := run(t, call)
		if r.Exit != 1 || r.Stdout != "" || !strings.HasPrefix(r.Stderr, "fusectl: it runs with more rights than its user has") || strings.Count(r.Stderr, "\n") != 1 {
			t.Errorf("%s: exit %d, %q, %q", name, r.Exit, r.Stdout, r.Stderr)
		}
	}
}
