package arch

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The file VERSION is the only source of the version. The recipes, which have no way to read it,
// follow it; they and go.mod agree on the modules and on Go. (packaging/release.sh looks for the
// version in CHANGELOG.md.)
func TestVersionsAgree(t *testing.T) {
	version := strings.TrimSpace(read(t, "VERSION"))
	if !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(version) {
		t.Fatalf("VERSION is %q", version)
	}
	requires := func(module string) string { return find(t, "go.mod", regexp.QuoteMeta(module)+` v(\S+)`) }
	oldest := strings.TrimSuffix(find(t, "go.mod", `(?m)^go (\S+)$`), ".0")
	for _, c := range []struct{ file, pattern, want string }{
		{"packaging/debian/changelog", `^go-fusermount \((\S+)-\d+\) `, version},
		{"packaging/rpm/go-fusermount.spec", `(?m)^%global release_version (\S+)$`, version},
		{"packaging/rpm/go-fusermount.spec", `(?m) - (\S+)-1$`, version},
		{"packaging/arch/PKGBUILD", `(?m)^pkgver=(\S+)$`, version},
		{"packaging/alpine/APKBUILD", `(?m)^pkgver=(\S+)$`, version},
		{"kubernetes/deploy/daemonset.yaml", `image: localhost/fusermount-csi:(\S+)`, version},
		{"kubernetes/README.md", `=REGISTRY/fusermount-csi:([^)]+)`, version},
		{"packaging/rpm/go-fusermount.spec", `bundled\(golang\(golang.org/x/sys\)\) = (\S+)`, requires("golang.org/x/sys")},
		{"packaging/rpm/go-fusermount.spec", `bundled\(golang\(github.com/spf13/pflag\)\) = (\S+)`, requires("github.com/spf13/pflag")},
		{"packaging/rpm/go-fusermount.spec", `golang >= (\S+)`, oldest},
		{"packaging/debian/control", `golang-go \(>= 2:(\S+)~\)`, oldest},
		{"packaging/arch/PKGBUILD", `go>=([0-9.]+)`, oldest},
		{"packaging/alpine/APKBUILD", `go>=([0-9.]+)`, oldest},
	} {
		if got := find(t, c.file, c.pattern); got != c.want {
			t.Errorf("%s has %q for %s, want %q", c.file, got, c.pattern, c.want)
		}
	}
}

// find returns what the first group of a pattern matches, of a file of the project.
func find(t *testing.T, file, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(read(t, file))
	if m == nil {
		t.Fatalf("%s has nothing that matches %s", file, pattern)
	}
	return m[1]
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile("../../" + file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
