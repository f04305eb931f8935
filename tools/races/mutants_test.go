package races

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mutant is the helper without one of its checks. The named test has to fail
// with it, or nothing shows what the check is good for.
type mutant struct {
	name  string
	edits []edit
	suite string // of tools, or a package of the module, with a leading ./
	run   string // the test, as -test.run takes it
	want  string // what it says
}

// edit replaces a text that stands exactly once in a file of the module.
type edit struct{ file, old, new string }

const (
	module = "../.."
	// trialTime is how long a mutant's test may take; only a mutant that hangs takes
	// it.
	trialTime = 2 * time.Minute
)

func TestMutants(t *testing.T) {
	install(t) // the same needs
	suites := map[string]string{"races": "/proc/self/exe"}
	for _, suite := range []string{"conformance", "faults"} {
		suites[suite] = filepath.Join(t.TempDir(), suite+".test")
		goTool(t, "..", "test", "-c", "-o", suites[suite], "./"+suite)
	}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			overlay := m.overlay(t)
			if strings.HasPrefix(m.suite, "./") {
				m.loses(t, module, "go", "test", "-overlay", overlay, "-count=1", "-run", m.run, m.suite)
				return
			}
			program := filepath.Join(t.TempDir(), "fusermount3")
			makeHelper(t, overlay, program)
			if strings.HasPrefix(m.run, "^TestService") {
				goTool(t, module, "build", "-overlay", overlay, "-ldflags", "-s -w", "-o", filepath.Join(filepath.Dir(program), "fusermountd"), "./cmd/fusermountd")
			}
			m.loses(t, filepath.Join("..", m.suite), suites[m.suite], "-test.run", m.run, "-test.failfast", "FUSERMOUNT_HELPER="+program)
		})
	}
}

// makeHelper builds the helper with its entry point, from edited files.
func makeHelper(t *testing.T, overlay, program string) {
	t.Helper()
	goTool(t, module, "build", "-overlay", overlay, "-ldflags", "-E fusermount_entry -s -w", "-o", program, "./cmd/fusermount")
}

// overlay writes the edited files, and the list that the go tool wants.
func (m mutant) overlay(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	replace := map[string]string{}
	for _, e := range m.edits {
		path, err := filepath.Abs(filepath.Join(module, e.file))
		must(t, err)
		from := path
		if done, found := replace[path]; found {
			from = done
		}
		text, err := os.ReadFile(from)
		must(t, err)
		if n := strings.Count(string(text), e.old); n != 1 {
			t.Fatalf("%s has this text %d times, and not once; the mutant has to follow the code:\n%s", e.file, n, e.old)
		}
		to := filepath.Join(dir, strings.ReplaceAll(e.file, "/", "_"))
		must(t, os.WriteFile(to, []byte(strings.Replace(string(text), e.old, e.new, 1)), 0o600))
		replace[path] = to
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	must(t, err)
	path := filepath.Join(dir, "overlay.json")
	must(t, os.WriteFile(path, list, 0o600))
	return path
}

// loses runs the mutant's test. Arguments with a name before an equals sign and
// no dash are for the environment.
func (m mutant) loses(t *testing.T, dir string, argv ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), trialTime)
	defer cancel()
	cmd := command(ctx, dir, argv)
	out, err := cmd.CombinedOutput()
	exit := (*exec.ExitError)(nil)
	switch {
	case err == nil:
		t.Errorf("%s passes without this check:\n%s", m.run, out)
	case !errors.As(err, &exit) || !strings.Contains(string(out), m.want) || !strings.Contains(string(out), "--- FAIL: "):
		t.Errorf("%s fails for another reason (%v), want %q:\n%s", m.run, err, m.want, out)
	default:
		figures.mutants.Add(1)
		t.Logf("%s", out)
	}
}

// command is a program in an environment without what is said to this test's
// own process: a test binary that it starts makes a namespace of its own.
func command(ctx context.Context, dir string, argv []string) *exec.Cmd {
	var args, env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "FUSETEST_NAMESPACE=") {
			env = append(env, v)
		}
	}
	for _, arg := range argv[1:] {
		if strings.HasPrefix(arg, "FUSERMOUNT_HELPER=") {
			env = append(env, arg)
		} else {
			args = append(args, arg)
		}
	}
	cmd := exec.CommandContext(ctx, argv[0], args...)
	cmd.Dir, cmd.Env = dir, append(env, "CGO_ENABLED=0")
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// goTool runs the go tool, which has to succeed.
func goTool(t *testing.T, dir string, args ...string) {
	t.Helper()
	tool(t, dir, append([]string{"go"}, args...)...)
}

// tool runs a program, which has to succeed.
func tool(t *testing.T, dir string, argv ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), trialTime)
	defer cancel()
	cmd := command(ctx, dir, argv)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
}
