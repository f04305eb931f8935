// Package arch holds the code to its floor plan: which package may import, call
// or print what, and how large it may be. A reviewer who trusts these tests has
// less to read.
package arch

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/go-fusermount/fusermount"

	setuidProgram = "./cmd/fusermount"
)

var update = flag.Bool("update", false, "write what the tests would compare")

// source is one Go file, without its tests.
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

// goList runs go list in the root module and returns its lines.
func goList(t *testing.T, env []string, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir, cmd.Env, cmd.Stderr = root, append(os.Environ(), env...), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", cmd, err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

// linked returns this module's packages that a package links, itself included, as
// directories from the module's root.
func linked(t *testing.T, pkg string) (dirs []string) {
	t.Helper()
	for _, path := range goList(t, nil, "-deps", pkg) {
		if dir, ok := strings.CutPrefix(path, module); ok {
			dirs = append(dirs, filepath.Join(".", strings.TrimPrefix(dir, "/")))
		}
	}
	return dirs
}

// sources parses the files of these directories, for every architecture.
func sources(t *testing.T, dirs []string) (files []source) {
	t.Helper()
	for _, dir := range dirs {
		paths, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
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
			files = append(files, source{filepath.ToSlash(filepath.Join(dir, filepath.Base(path))), file})
		}
	}
	return files
}

// helper parses the files of which the set-uid program is built.
func helper(t *testing.T) []source {
	t.Helper()
	files := sources(t, linked(t, setuidProgram))
	if len(files) < 20 {
		t.Fatalf("only %d files found", len(files))
	}
	return files
}

// client parses the files of the client package, and of the rooms that it does not
// share with the set-uid program.
func client(t *testing.T) []source {
	t.Helper()
	shared := linked(t, setuidProgram)
	own := slices.DeleteFunc(linked(t, "."), func(dir string) bool { return slices.Contains(shared, dir) })
	files := sources(t, own)
	if len(files) < 8 {
		t.Fatalf("only %d files found", len(files))
	}
	return files
}
