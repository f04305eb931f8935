package races

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// TestNoThreadBefore traces the order of the calls: before the process starts a thread,
// opens a file or maps memory, it has the caller's ids and no effective capability, and
// is not dumpable.
func TestNoThreadBefore(t *testing.T) {
	program := install(t)
	strace, err := exec.LookPath("strace")
	if err != nil {
		fusetest.Skip(t, "install strace: apt-get install strace")
	}
	w := newWorld(t)
	output := filepath.Join(w.base, "trace")
	// As root, so that the setuid bit has its effect.
	call := helpertest.Call{
		Prog: strace, KeepRoot: true, Socket: helpertest.NoSocket, Dir: "/", Env: []string{"PATH=" + os.Getenv("PATH")},
		Args: []string{"-f", "-o", output, "setpriv", "--reuid", strconv.Itoa(alice), "--regid", strconv.Itoa(alice), "--clear-groups", program, "-V"},
	}
	ctx, cancel := context.WithTimeout(t.Context(), fusetest.Patience)
	defer cancel()
	if r := call.Run(ctx); r.Err != nil || r.Exit != 0 {
		t.Fatalf("exit %d, %v: %s", r.Exit, r.Err, r.Stderr)
	}
	text, err := os.ReadFile(output)
	must(t, err)
	_, trace, found := strings.Cut(string(text), "execve(\""+program)
	if !found {
		t.Fatalf("the helper was not run:\n%s", text)
	}
	lines := strings.Split(trace, "\n")[1:]
	others := slices.IndexFunc(lines, func(line string) bool { return !becoming[traced(line)] })
	if others < 0 || !strings.Contains(trace, "clone") {
		t.Fatalf("no thread was started:\n%s", trace)
	}
	before := strings.Join(lines[:others], "\n")
	for _, step := range []string{
		fmt.Sprintf(`setresgid(32)?\(%[1]d, %[1]d, %[1]d\) += 0`, alice), fmt.Sprintf(`setresuid(32)?\(%[1]d, %[1]d, %[1]d\) += 0`, alice),
		`capset\(.*\{effective=0, .*\) += 0`, `prctl\(PR_SET_NO_NEW_PRIVS, 1, .*\) += 0`, `prctl\(PR_SET_DUMPABLE, SUID_DUMP_DISABLE.*\) += 0`,
	} {
		if !regexp.MustCompile(step).MatchString(before) {
			t.Errorf("before %s: no %s among %q", traced(lines[others]), step, before)
		}
	}
}

// traced returns the call of a line of strace -f, without the 32 that some architectures
// add.
func traced(line string) string {
	_, call, _ := strings.Cut(line, " ")
	name, _, _ := strings.Cut(strings.TrimSpace(call), "(")
	return strings.TrimSuffix(name, "32")
}

// TestPlainBuild builds the helper without its entry, as a plain 'go build' does. It
// refuses to work for a caller to whom it gives privileges; for others it works.
func TestPlainBuild(t *testing.T) {
	install(t) // the same needs
	plain := filepath.Join(t.TempDir(), "fusermount3")
	goTool(t, module, "build", "-buildvcs=false", "-o", plain, "./cmd/fusermount")
	for _, mode := range []fusetest.InstallMode{fusetest.Setuid, fusetest.Setcap, fusetest.Plain} {
		program := fusetest.InstallHelper(t, plain, mode)
		for _, root := range []bool{false, true} {
			w := newWorld(t)
			before, err := w.table()
			must(t, err)
			call := helpertest.Call{Prog: program, UID: alice, GID: alice, KeepRoot: root, Dir: "/", Args: []string{w.m}}
			r := runWithin(t, call)
			after, err := w.table()
			must(t, err, r.Err)
			if root {
				if r.Exit != 0 || r.Dev == nil {
					t.Errorf("%s, root: exit %d, %q", mode, r.Exit, r.Stderr)
				} else {
					must(t, r.Dev.Close())
				}
				continue
			}
			refused(t, r, after.without(before), "")
			call.Args, call.Socket = []string{"-V"}, helpertest.NoSocket
			r = runWithin(t, call)
			if wants := mode == fusetest.Plain; (r.Exit == 0) != wants || (r.Stdout != "") != wants {
				t.Errorf("%s: -V: exit %d, %q, %q", mode, r.Exit, r.Stdout, r.Stderr)
			}
		}
	}
}

// TestStepFails has each call fail by which the helper becomes its caller before the Go
// runtime starts. It names the call, and does nothing.
func TestStepFails(t *testing.T) {
	program := install(t)
	steps := stepsOf(t, program)
	for i, name := range steps {
		for _, errno := range []unix.Errno{unix.EPERM, unix.EAGAIN, unix.ENOSYS} {
			t.Run(fmt.Sprintf("%d %s %s", i, name, unix.ErrnoName(errno)), func(t *testing.T) {
				t.Parallel()
				o := withStep(t, program, i, helpertest.Fail(errno))
				if changing(name) {
					o.refused(t, name)
				} else { // a limit that cannot be raised may be no reason to refuse
					o.harmless(t)
				}
			})
		}
	}
}

// TestStepDoesNothing has each of these calls report success without an effect: the
// helper must check the state of the process.
func TestStepDoesNothing(t *testing.T) {
	program := install(t)
	for i, name := range stepsOf(t, program) {
		if changing(name) {
			t.Run(fmt.Sprintf("%d %s", i, name), func(t *testing.T) {
				t.Parallel()
				withStep(t, program, i, helpertest.Pretend(0)).harmless(t)
			})
		}
	}
}

// stepsOf returns the calls by which the helper becomes its caller before anything else.
func stepsOf(t *testing.T, program string) (steps []string) {
	t.Helper()
	w := newWorld(t)
	w.program = program
	o := observe(t, w, mode{name: "version", args: []string{"-V"}, call: noSocket}, nil)
	for _, name := range o.calls {
		if !becoming[name] {
			break
		}
		steps = append(steps, name)
	}
	for _, name := range []string{"setresuid", "setresgid", "capset", "prctl"} {
		if !slices.Contains(steps, name) {
			t.Fatalf("no %s before the first of other calls: %q", name, o.calls[:min(len(o.calls), 20)])
		}
	}
	return steps
}

// changing reports whether a call changes the process, and does not only query it.
func changing(call string) bool {
	return strings.HasPrefix(call, "set") || call == "capset" || call == "prctl"
}

// withStep has the helper mount, with another result for one of its first calls.
func withStep(t *testing.T, program string, step int, becomes helpertest.Verdict) *observation {
	t.Helper()
	w := newWorld(t)
	w.program = program
	return observe(t, w, mode{name: "mount"}, func(o *observation) {
		o.decide = func(s helpertest.Syscall) helpertest.Verdict {
			if s.Index == step {
				return becomes
			}
			return helpertest.Continue
		}
	})
}

// harmless wants a refusal, or a helper with the caller's ids all the same, since the call
// would have changed nothing.
func (o *observation) harmless(t *testing.T) {
	t.Helper()
	if o.result.Exit != 0 {
		o.refused(t, "")
	} else if len(o.bad) > 0 {
		t.Errorf("%s", o)
	}
}

// refused wants exit status 1, one line that has the word, and nothing mounted.
func (o *observation) refused(t *testing.T, word string) {
	t.Helper()
	refused(t, o.result, o.came, word)
}

func refused(t *testing.T, r helpertest.Result, came []fusetest.Line, word string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(r.Stderr, "\n"), "\n")
	oneError := len(lines) == 1 || len(lines) == 2 && strings.Contains(lines[1], ": hint: ")
	if r.Exit != 1 || !oneError || r.Stderr == "" || !strings.Contains(lines[0], word) {
		t.Errorf("exit %d, signal %d, %q: want exit 1, and one line with %q", r.Exit, r.Signal, r.Stderr, word)
	}
	if len(came) > 0 || r.NFDs > 0 {
		t.Errorf("%d descriptors came, and mounts: %+v", r.NFDs, came)
	}
}

// TestSetIDRefused is root in a sandbox that refuses to change ids (systemd's
// SystemCallFilter). Root has no ids to change, and mounts.
func TestSetIDRefused(t *testing.T) {
	program := install(t)
	deny := helpertest.Deny(unix.EPERM, "setresuid", "setresgid")
	w := newWorld(t)
	call := helpertest.Call{Prog: program, KeepRoot: true, Dir: "/", Deny: deny}
	ctx, cancel := context.WithTimeout(t.Context(), fusetest.Patience)
	defer cancel()
	call.Args = []string{w.m}
	r := call.Run(ctx)
	if _, mounted, err := fusetest.TopMount(w.m); err != nil || !mounted || r.Exit != 0 || r.Dev == nil || r.Stderr != "" {
		t.Fatalf("exit %d, mounted %v, %v, %v: %q", r.Exit, mounted, err, r.Err, r.Stderr)
	}
	must(t, r.Dev.Close())
	call.Socket, call.Args = helpertest.NoSocket, []string{"-u", w.m}
	r = call.Run(ctx)
	if _, mounted, err := fusetest.TopMount(w.m); err != nil || mounted || r.Exit != 0 {
		t.Errorf("-u: exit %d, mounted %v, %v, %v: %q", r.Exit, mounted, err, r.Err, r.Stderr)
	}
}

// TestSetIDRefusedUser is a user in such a sandbox, who is refused.
func TestSetIDRefusedUser(t *testing.T) {
	program := install(t)
	for _, name := range []string{"setresuid", "setresgid", "capset", "prctl"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			before, err := w.table()
			must(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), fusetest.Patience)
			defer cancel()
			r := helpertest.Call{
				Prog: program, UID: alice, GID: alice, Dir: "/", Args: []string{w.m}, Deny: helpertest.Deny(unix.EPERM, name),
			}.Run(ctx)
			must(t, r.Err)
			came, err := w.table()
			must(t, err)
			refused(t, r, came.without(before), name)
		})
	}
}
