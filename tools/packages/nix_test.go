package packages

import (
	"archive/tar"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// recipes returns the directory of what testdata/recipes.sh makes.
func recipes(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("FUSERMOUNT_RECIPES")
	if dir == "" {
		fusetest.Skip(t, "run 'make test-packages': it looks into packages")
	}
	return dir
}

// The derivation has what "make install" installs, without what only root can give, and without
// settings. The store takes the right to write.
func TestNixContents(t *testing.T) {
	want := map[string]string{}
	for name, is := range installed {
		if name, ok := strings.CutPrefix(name, "usr/"); ok && !strings.Contains(name, "udev") {
			want[name] = strings.NewReplacer("4755", "0555", "0755", "0555", "0644", "0444").Replace(is)
		}
	}
	text, err := os.ReadFile(filepath.Join(recipes(t), "nix.tar"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, h := range headers(t, string(text)) {
		name := strings.TrimPrefix(h.Name, "./")
		switch h.Typeflag {
		case tar.TypeSymlink:
			got[name] = "-> " + h.Linkname
		case tar.TypeReg:
			got[name] = modeOf(h.FileInfo().Mode())
		}
	}
	compare(t, "the derivation", got, want)
}

// What the NixOS module sets.
func TestNixModule(t *testing.T) {
	const (
		assertions = `"assertions":[{"assertion":true,"message":"programs.go-fusermount needs a wrapper or the service: without both, users cannot mount"}]`
		packages   = `"environment":{"systemPackages":["PACKAGE"]}`
		wrapper    = `{"group":"root","owner":"root","setuid":true,"source":"PACKAGE/bin/fusermount3"}`
		none       = `{"enable":false}`
		systemd    = `"systemd":{"packages":["PACKAGE"],"sockets":{"fusermountd":{"wantedBy":["sockets.target"]}}}`
	)
	want := map[string]string{
		"options": `{"enable":false,"service":false,"wrapper":true}`,
		"off":     `{}`,
		"wrapper": `{` + assertions + `,` + packages + `,"security":{"wrappers":{"fusermount":` + wrapper + `,"fusermount3":` + wrapper + `}}}`,
		"service": `{` + assertions + `,` + packages + `,"security":{"wrappers":{"fusermount":` + none + `,"fusermount3":` + none + `}},` + systemd + `}`,
		"neither": `{` + strings.Replace(assertions, "true", "false", 1) + `,` + packages + `,"security":{"wrappers":{"fusermount":` + none + `,"fusermount3":` + none + `}}}`,
	}
	got := maps.Clone(want)
	for name := range want {
		text, err := os.ReadFile(filepath.Join(recipes(t), "nix-"+name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		got[name] = strings.TrimSpace(string(text))
	}
	compare(t, "the module", got, want)
}
