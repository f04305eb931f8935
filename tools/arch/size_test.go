package arch

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// budgets limit what a reviewer has to read.
var budgets = []struct {
	what  string
	limit int
	count func(t *testing.T) int
}{
	{"lines of the set-uid program", 7_660, // a thousand of them ask the mount service, without rights
		func(t *testing.T) int {
			return ownLines(t, "-deps", setuidProgram)
		}},
	{"lines that run with privileges (internal/priv and mount/privileged.go)", 600, func(t *testing.T) int {
		return ownLines(t, "./internal/priv") + countLines(t, "internal/mount/privileged.go")
	}},
	{"lines of the client package", 2_400, func(t *testing.T) int { return ownLines(t, ".") }},
	{"files of the client package", 12, func(t *testing.T) int { return len(sources(t, []string{"."})) }},
}

// maxFileLines is for every Go file, tests among them.
const maxFileLines = 450

// maxMethodFiles is how many files may have methods of one type.
const maxMethodFiles = 2

func TestBudgets(t *testing.T) {
	for _, b := range budgets {
		n := b.count(t)
		t.Logf("%s: %d, limit %d", b.what, n, b.limit)
		if n > b.limit {
			t.Errorf("%s: %d, and the limit is %d", b.what, n, b.limit)
		}
	}
}

// ownLines counts the lines of packages of this module, as they are built for amd64.
func ownLines(t *testing.T, args ...string) (n int) {
	t.Helper()
	const files = `{{if not .Standard}}{{$d := .Dir}}{{range .GoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{end}}`
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range goList(t, []string{"GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0"}, append([]string{"-f", files}, args...)...) {
		rel, err := filepath.Rel(top, path)
		if path != "" && err == nil && filepath.IsLocal(rel) && !strings.HasPrefix(rel, "vendor/") {
			n += countLines(t, rel)
		}
	}
	return n
}

func countLines(t *testing.T, path string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(text, []byte("\n"))
}

// goFiles lists every Go file of the repository, from its root.
func goFiles(t *testing.T) (paths []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && (path == "build" || path == ".git") {
			return fs.SkipDir
		}
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".go") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) < 100 {
		t.Fatalf("only %d files found", len(paths))
	}
	return paths
}

func TestFileSize(t *testing.T) {
	for _, path := range goFiles(t) {
		if n := countLines(t, path); n > maxFileLines {
			t.Errorf("%s has %d lines, and the limit is %d", path, n, maxFileLines)
		}
	}
}

// A reader finds the methods of a type in one file, or in two.
func TestMethodSets(t *testing.T) {
	files := map[string][]string{} // by directory and type
	for _, name := range goFiles(t) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			typ := receiver(decl)
			key := strings.TrimPrefix(path.Dir(name)+"."+typ, "..")
			if typ != "" && !slices.Contains(files[key], name) {
				files[key] = append(files[key], name)
			}
		}
	}
	for typ, names := range files {
		if len(names) > maxMethodFiles {
			t.Errorf("the methods of %s lie in %d files: %v", typ, len(names), names)
		}
	}
}

// receiver returns the type of a method, empty for what is none.
func receiver(decl ast.Decl) string {
	f, ok := decl.(*ast.FuncDecl)
	if !ok || f.Recv == nil {
		return ""
	}
	expr := f.Recv.List[0].Type
	if star, ok := expr.(*ast.StarExpr); ok {
		expr = star.X
	}
	if index, ok := expr.(*ast.IndexExpr); ok { // a generic type
		expr = index.X
	}
	if id, ok := expr.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}
