package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// client parses all files of the client package.
func client(t *testing.T) (files []source) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, source{filepath.Base(path), file})
	}
	if len(files) < 10 {
		t.Fatalf("only %d files found", len(files))
	}
	return files
}

// The client shares with the helper what is neutral, and nothing that decides or
// has privileges. It is a library: it does not print, log or end a process.
func TestClientImports(t *testing.T) {
	shared := []string{"fdpass", "fstypes", "fuseconf", "fusectl", "mountopts", "mtab", "rawfile", "secure"}
	forbidden := []string{"log", "net", "os/user", "os/signal"}
	for _, s := range client(t) {
		for _, path := range s.imports() {
			if internal, ok := strings.CutPrefix(path, module+"/internal/"); ok && !slices.Contains(shared, internal) {
				t.Errorf("%s imports %s", s.path, internal)
			}
			if slices.Contains(forbidden, path) {
				t.Errorf("%s imports %s", s.path, path)
			}
		}
		for _, name := range s.selectors() {
			if slices.Contains([]string{"os.Stderr", "os.Stdout", "fmt.Print", "fmt.Printf", "fmt.Println", "os.Exit", "os.Setenv", "os.Chdir"}, name) {
				t.Errorf("%s: %s", s.path, name)
			}
			if name == "syscall.StartProcess" && s.path != "process.go" {
				t.Errorf("%s: %s belongs in process.go", s.path, name)
			}
		}
	}
}

// What the client opens no child of the program's inherits, whenever it is
// started: descriptors are close-on-exec from the start.
func TestClientCloseOnExec(t *testing.T) {
	opening := []string{
		"unix.Open", "unix.Openat", "unix.Openat2", "unix.Socketpair", "unix.Pipe", "unix.Pipe2", "unix.Eventfd",
		"unix.Fsopen", "unix.Fsmount", "unix.OpenTree", "unix.Dup", "unix.Dup2", "unix.Dup3", "unix.FcntlInt",
	}
	calls := 0
	for _, s := range client(t) {
		ast.Inspect(s.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			if !ok || !slices.Contains(opening, x.Name+"."+sel.Sel.Name) {
				return true
			}
			calls++
			if !mentions(call, "CLOEXEC") && !mentions(call, "F_GETFD") && !mentions(call, "F_GETFL") {
				t.Errorf("%s: %s.%s without CLOEXEC", s.path, x.Name, sel.Sel.Name)
			}
			return true
		})
	}
	if calls < 8 {
		t.Errorf("only %d calls found", calls)
	}
}

// mentions says whether a part of a name stands in a piece of source.
func mentions(n ast.Node, part string) (found bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		found = found || ok && strings.Contains(id.Name, part)
		return !found
	})
	return found
}
