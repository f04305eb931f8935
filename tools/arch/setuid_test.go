package arch

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestPurePackages(t *testing.T) {
	impure := []string{"os", "syscall", "unsafe", "time", "net", "golang.org/x/sys/unix"}
	pure := []string{"cmdline", "fstypes", "mountopts", "fuseconf", "policy", "printable", "diagnose"}
	for i, name := range pure {
		pure[i] = "internal/" + name
	}
	for _, s := range sources(t, pure) {
		for _, path := range s.imports() {
			if slices.Contains(impure, path) {
				t.Errorf("%s imports %s, and is to be pure", s.path, path)
			}
		}
	}
}

// The set-uid program links only what it needs. It runs no program, resolves no
// user's name or time zone, uses no network and parses no format but its own, and
// it links nothing that is for people or for the client. Of other modules it links
// x/sys alone.
func TestSetuidLinks(t *testing.T) {
	standard := regexp.MustCompile(`^(net|flag|log|plugin|os/(exec|user|signal)|runtime/cgo|encoding/(csv|json|xml|gob)|regexp|text)(/|$)`)
	ours := regexp.MustCompile(`^(` + module + `|golang\.org/x/sys)/`)
	for _, cgo := range []string{"0", "1"} {
		lines := goList(t, []string{"CGO_ENABLED=" + cgo}, "-deps", "-f", "{{.Standard}} {{.ImportPath}}", setuidProgram)
		for _, line := range lines {
			kind, path, _ := strings.Cut(line, " ")
			if kind == "true" && standard.MatchString(strings.TrimPrefix(path, "vendor/golang.org/x/")) ||
				kind != "true" && !ours.MatchString(path) {
				t.Errorf("CGO_ENABLED=%s: it links %s", cgo, path)
			}
		}
		if len(lines) < 50 {
			t.Errorf("only %d packages", len(lines))
		}
	}
	rooms := linked(t, setuidProgram)
	for _, room := range []string{".", "internal/diagnose", "internal/collect", "internal/connection", "internal/helperproc", "internal/optwrite"} {
		is, known := slices.Contains(rooms, room), slices.Contains(stillLinked, room)
		if is && !known {
			t.Errorf("it links %s", room)
		} else if !is && known {
			t.Errorf("it no longer links %s: remove it from stillLinked", room)
		}
	}
}

// stillLinked are rooms that have to leave the set-uid program.
var stillLinked []string

func TestOnePlaceFor(t *testing.T) {
	for _, rule := range []struct {
		what  string
		where []string // files or directories
		names []string
	}{
		// The child asks to be killed when its parent ends.
		{"credentials", []string{"internal/priv", "internal/entry", "internal/mount/syncinit.go"}, []string{
			"unix.Capset", "unix.Setuid", "unix.Setresuid", "unix.Setresgid", "unix.Setgroups", "unix.Setfsuid",
			"unix.SYS_SETRESUID", "unix.SYS_SETFSUID", "unix.SYS_PRCTL", "unix.Prctl", "unix.SYS_CAPSET",
			"syscall.Setuid", "syscall.AllThreadsSyscall", "runtime.LockOSThread",
		}},
		{"brackets", []string{"internal/mount/privileged.go"}, []string{"priv.With", "priv.AsFileOwner"}},
		{"mounting", []string{"internal/mount/privileged.go"}, []string{
			"unix.Mount", "unix.Unmount", "unix.Fsopen", "unix.FsconfigCreate", "unix.Fsmount", "unix.MoveMount",
			"unix.OpenTree", "unix.MountSetattr", "unix.Unshare", "unix.Setns", "unix.Chroot", "unix.PivotRoot",
		}},
		{"printing", []string{"internal/helper/report.go"}, []string{
			"os.Stderr", "os.Stdout", "unix.Stdout", "fmt.Print", "fmt.Printf", "fmt.Println", "fmt.Fprint", "fmt.Fprintln",
		}},
		{"exiting", []string{"cmd/fusermount/main.go"}, []string{"os.Exit", "unix.Exit", "syscall.Exit"}},
		{"running programs", nil, []string{
			"unix.Exec", "syscall.Exec", "syscall.ForkExec", "os.StartProcess", "unix.SYS_EXECVE", "unix.SYS_EXECVEAT", "unix.SYS_FORK",
		}},
		{"a child that makes one call", []string{"internal/mount/syncinit.go"}, []string{
			"unix.SYS_CLONE", "unix.SYS_CLONE3",
		}},
		{"files that the runtime polls", nil, []string{
			"os.Open", "os.OpenFile", "os.NewFile", "os.ReadFile", "os.ReadDir", "os.Create", "os.WriteFile",
		}},
		{"the environment", []string{"internal/helper/environment.go"}, []string{
			"os.Getenv", "os.LookupEnv", "os.Environ", "syscall.Getenv", "os.Getwd", "os.UserHomeDir", "os.TempDir",
		}},
	} {
		for _, s := range helper(t) {
			if slices.ContainsFunc(rule.where, func(w string) bool { return s.path == w || s.in(w) }) {
				continue
			}
			for _, name := range s.selectors() {
				if s.in("internal/seccomp") && strings.HasPrefix(name, "unix.SYS_") {
					continue // it only names calls, see TestConfineMakesOneCall
				}
				if slices.Contains(rule.names, name) {
					t.Errorf("%s: %s belongs in %v", s.path, name, rule.where)
				}
			}
		}
	}
}

// The package that lists system calls makes one itself.
func TestConfineMakesOneCall(t *testing.T) {
	for _, s := range helper(t) {
		if !s.in("internal/seccomp") || s.path == "internal/seccomp/seccomp.go" {
			continue
		}
		for _, name := range s.selectors() {
			if strings.HasPrefix(name, "unix.RawSyscall") || strings.HasPrefix(name, "unix.Syscall") {
				t.Errorf("%s: %s", s.path, name)
			}
		}
	}
}

// Credentials belong to one thread, so the program never starts a goroutine.
func TestNoGoroutines(t *testing.T) {
	for _, s := range helper(t) {
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if _, ok := n.(*ast.GoStmt); ok {
				t.Errorf("%s starts a goroutine", s.path)
			}
			return true
		})
	}
}

// The linker gets the settings of the Go runtime as one string, which replaces the defaults
// of the Go version in go.mod. These keep the runtime from watching cgroup files, and from
// naming its memory by a system call for each mapping: the string has to repeat them.
func TestRuntimeSettings(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	const variable = "GODEBUGS := "
	_, given, _ := strings.Cut(string(makefile), "\n"+variable)
	given, _, _ = strings.Cut(given, "\n")
	for setting := range strings.SplitSeq(goList(t, nil, "-f", "{{.DefaultGODEBUG}}", "./cmd/fusermount")[0], ",") {
		ofRuntime := strings.Contains(setting, "procs=") || strings.HasPrefix(setting, "decorate")
		if ofRuntime && !strings.Contains(","+given+",", ","+setting+",") {
			t.Errorf("%s%q lacks %s", variable, given, setting)
		}
	}
}
