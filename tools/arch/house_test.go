// Package arch holds the program to its floor plan: which package may import,
// call or print what. A reviewer who trusts this test has to read far less.
package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/go-fusermount/fusermount"
)

// source is one file of what ships in the helper.
type source struct {
	path string // from the module's root
	ast  *ast.File
}

func (s source) in(dir string) bool { return strings.HasPrefix(s.path, dir+"/") }

func (s source) imports() (paths []string) {
	for _, spec := range s.ast.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			panic(err) // the parser accepted it
		}
		paths = append(paths, path)
	}
	return paths
}

// selectors are the names PACKAGE.NAME that the file mentions.
func (s source) selectors() (names []string) {
	ast.Inspect(s.ast, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok {
				names = append(names, x.Name+"."+sel.Sel.Name)
			}
		}
		return true
	})
	return names
}

// helper parses all files of which the helper is built.
func helper(t *testing.T) []source {
	t.Helper()
	var files []source
	for _, top := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && d.Name() == "testdata" {
				return filepath.SkipDir
			}
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if s := (source{filepath.ToSlash(rel), file}); !s.in("internal/fusetest") {
				files = append(files, s)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(files) < 20 {
		t.Fatalf("only %d files found", len(files))
	}
	return files
}

func TestPurePackages(t *testing.T) {
	impure := []string{"os", "syscall", "unsafe", "time", "net", "golang.org/x/sys/unix"}
	for _, s := range helper(t) {
		pure := []string{"cmdline", "fstypes", "mountopts", "fuseconf", "policy", "printable", "people"}
		if !slices.ContainsFunc(pure, func(name string) bool { return s.in("internal/" + name) }) {
			continue
		}
		for _, path := range s.imports() {
			if slices.Contains(impure, path) {
				t.Errorf("%s imports %s, and is to be pure", s.path, path)
			}
		}
	}
}

// The helper never runs a program, never resolves a user's name or a time
// zone, and uses no network.
func TestForbiddenImports(t *testing.T) {
	forbidden := []string{"os/exec", "os/user", "os/signal", "net", "log", "log/syslog", "plugin", module}
	for _, s := range helper(t) {
		for _, path := range s.imports() {
			if slices.Contains(forbidden, path) {
				t.Errorf("%s imports %s", s.path, path)
			}
		}
	}
}

// A setuid program links only what it needs: no network, no C library, no parsers of
// other formats, and of other modules only x/sys.
func TestDependencies(t *testing.T) {
	forbidden := regexp.MustCompile(`^(net|flag|log|plugin|os/(exec|user|signal)|runtime/cgo|encoding/(csv|json|xml|gob)|regexp|text/template)(/|$)`)
	ours := regexp.MustCompile(`^(` + module + `|golang\.org/x/sys)/`)
	for _, cgo := range []string{"0", "1"} {
		cmd := exec.Command("go", "list", "-deps", "-f", "{{.Standard}} {{.ImportPath}}", "./cmd/fusermount")
		cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED="+cgo)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Fields(string(out))
		for pair := range slices.Chunk(lines, 2) {
			standard, path := pair[0] == "true", pair[1]
			if standard && forbidden.MatchString(strings.TrimPrefix(path, "vendor/golang.org/x/")) || !standard && !ours.MatchString(path) {
				t.Errorf("CGO_ENABLED=%s: the helper links %s", cgo, path)
			}
		}
		if len(lines) < 100 {
			t.Errorf("only %d packages", len(lines)/2)
		}
	}
}

// The flow goes one way: nothing below knows what is above.
func TestFlow(t *testing.T) {
	allowed := map[string][]string{
		"cmdline":   {},
		"printable": {},
		"mountopts": {},
		"fstypes":   {},
		"fuseconf":  {"fstypes"},
		"bigstack":  {},
		"confine":   {},
		"fdpass":    {},
		"entry":     {},
		"priv":      {"entry", "rawfile", "secure", "signals"},
		"policy":    {"mountopts", "fstypes", "fuseconf"},
		"rawfile":   {},
		"secure":    {},
		"signals":   {"entry"},
		"fusectl":   {"rawfile"},
		"mtab":      {"mountopts", "rawfile", "fusectl"},
		"kernel":    {"mountopts", "policy", "priv", "mtab", "rawfile", "signals"},
		"people":    {"fuseconf", "printable"},
		"look":      {"fusectl", "kernel", "mountopts", "mtab", "people", "rawfile"},
	}
	for _, s := range helper(t) {
		if !s.in("internal") {
			continue
		}
		from := strings.Split(s.path, "/")[1]
		for _, path := range s.imports() {
			to, ok := strings.CutPrefix(path, module+"/internal/")
			if ok && !slices.Contains(allowed[from], to) {
				t.Errorf("%s imports %s", s.path, to)
			}
		}
	}
}

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

// Credentials belong to one thread, so no other goroutine is ever started.
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
