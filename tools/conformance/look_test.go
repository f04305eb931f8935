package conformance

import (
	"slices"
	"strings"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// What people ask for is found out without any privilege: every one is given up
// for good before the first look at anything, and a filter leaves nothing but
// looking. Programs are not run, and nothing is written.
func portTestLooksWithoutPrivilege(t *testing.T) {
	call, mountpoint := asUser(t)
	addUsers(t)
	for _, args := range [][]string{{"--list"}, {"--list", "--json"}, {"--check", mountpoint}, {"--check", "--json"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			tr := newTracer(t)
			call := call
			call.Socket, call.Args, call.Env = helpertest.NoSocket, args, hostileEnvironment(t)
			call = tr.wrap(call, "alice")
			calls := slices.IndexFunc(call.Args, func(arg string) bool { return strings.HasPrefix(arg, "trace=") })
			call.Args[calls] += ",%network,capset,setresuid,setfsuid,seccomp,write,mount,umount2,fsopen"
			if r := run(t, call); r.Exit != 0 {
				t.Fatalf("exit %d: %s", r.Exit, r.Stderr)
			}
			wantLookedAfter(t, tr.lines(t))
		})
	}
}

// wantLookedAfter wants all looks after the last change of credentials, which has
// left nothing, and after it neither privileged calls nor writes but to the caller.
func wantLookedAfter(t *testing.T, lines []string) {
	t.Helper()
	last, looks, filters := -1, 0, 0
	for i, line := range lines {
		if strings.HasPrefix(line, "capset(") || strings.HasPrefix(line, "setresuid(") {
			last = i
		}
	}
	if last < 0 || !strings.Contains(lines[last], "{effective=0, permitted=0, inheritable=0}") {
		t.Fatalf("the last change of credentials: %d\n%s", last, strings.Join(lines, "\n"))
	}
	for i, line := range lines {
		name, _, _ := strings.Cut(line, "(")
		path := quoted.FindStringSubmatch(line)
		switch {
		case slices.Contains([]string{"mount", "umount2", "fsopen", "setfsuid", "socket", "connect", "unlink", "rename"}, name),
			strings.Contains(line, "O_CREAT"), strings.Contains(line, "O_TRUNC"),
			name == "write" && !strings.HasPrefix(line, "write(1, ") && !strings.HasPrefix(line, "write(2, "):
			t.Errorf("not a look: %s", line)
		case i < last && opened.MatchString(line) && name != "execve" && !runtimePaths.MatchString(path[1]):
			t.Errorf("before everything is given up: %s", line)
		case i > 0 && strings.Contains(line, bait):
			t.Errorf("from the environment: %s", line)
		case strings.HasPrefix(line, "seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC") && i > last:
			filters++
		case i > last && opened.MatchString(line):
			looks++
		case name == "clone" && !strings.Contains(line, "CLONE_THREAD"), name == "execve" && i > 0:
			t.Errorf("a program: %s", line)
		}
	}
	if looks == 0 || filters != 1 {
		t.Errorf("%d looks, %d filters: this is no trace of the helper\n%s", looks, filters, strings.Join(lines, "\n"))
	}
}
