package arch

import (
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// The client shares with the set-uid program what is neutral, and nothing that
// decides or has privileges.
func TestClientLinks(t *testing.T) {
	rooms := linked(t, ".")
	for _, name := range []string{"helper", "policy", "priv", "mount", "seccomp", "signals", "entry", "cmdline", "diagnose", "collect"} {
		if slices.Contains(rooms, "internal/"+name) {
			t.Errorf("the client links %s", name)
		}
	}
}

// The client is a library: it does not print, end a process or change one's state.
func TestClientIsALibrary(t *testing.T) {
	imports := []string{"log", "net", "os/user", "os/signal"}
	names := []string{"os.Stderr", "os.Stdout", "fmt.Print", "fmt.Printf", "fmt.Println", "os.Exit", "os.Setenv", "os.Chdir"}
	for _, s := range client(t) {
		for _, path := range s.imports() {
			if slices.Contains(imports, path) {
				t.Errorf("%s imports %s", s.path, path)
			}
		}
		for _, name := range s.selectors() {
			if slices.Contains(names, name) {
				t.Errorf("%s: %s", s.path, name)
			}
			if name == "syscall.StartProcess" && s.path != "process.go" && !s.in("internal/helperproc") {
				t.Errorf("%s: %s belongs where the helper is run", s.path, name)
			}
		}
	}
}

// No child of the program inherits what the client opens: a descriptor is
// close-on-exec from the start.
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

// mentions says whether some name in a piece of source contains part.
func mentions(n ast.Node, part string) (found bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		found = found || ok && strings.Contains(id.Name, part)
		return !found
	})
	return found
}
