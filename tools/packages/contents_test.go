package packages

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// entry is what a package has at one path. The mode of a link has no meaning.
type entry struct {
	mode string // or "-> TARGET"
	// source has as many bytes as the entry; empty where it was compressed or made.
	source string
	only   []string // formats; none is all
}

// The formats, by the ending of their file names.
const (
	deb  = ".deb"
	rpm  = ".rpm"
	apk  = ".apk"
	arch = ".pkg.tar.zst"
)

// unpacked are the formats that run no script to set modes.
var unpacked = []string{rpm, apk, arch}

// contents is all that the packages contain.
var contents = map[string][]entry{
	"usr/bin/fusermount3": {
		{mode: "0755", source: "../../build/linux-amd64/fusermount3", only: []string{deb}},
		{mode: "4755", source: "../../build/linux-amd64/fusermount3", only: unpacked},
	},
	"usr/share/man/man1/fusermount3.1.gz": {{mode: "0644"}},
	"usr/share/man/man1/fusermount.1.gz":  {{mode: "-> fusermount3.1.gz", only: []string{deb}}},
	"usr/share/man/man5/fuse.conf.5.gz":   {{mode: "0644"}},
	"usr/share/zsh/vendor-completions/_fusermount3": {
		{mode: "0644", source: packaging + "/completions/_fusermount3", only: []string{deb}},
	},
	"usr/share/zsh/site-functions/_fusermount3": {
		{mode: "0644", source: packaging + "/completions/_fusermount3", only: unpacked},
	},
	"usr/bin/fusectl":                 {{mode: "0755", source: "../../build/linux-amd64/fusectl"}},
	"usr/share/man/man1/fusectl.1.gz": {{mode: "0644"}},
	"usr/share/zsh/vendor-completions/_fusectl": {
		{mode: "0644", source: packaging + "/completions/_fusectl", only: []string{deb}},
	},
	"usr/share/zsh/site-functions/_fusectl": {
		{mode: "0644", source: packaging + "/completions/_fusectl", only: unpacked},
	},
	"usr/share/bash-completion/completions/fusectl":        {{mode: "0644", source: packaging + "/completions/fusectl.bash"}},
	"usr/share/fish/vendor_completions.d/fusectl.fish":     {{mode: "0644", source: packaging + "/completions/fusectl.fish"}},
	"usr/share/go-fusermount/fusectl.schema.json":          {{mode: "0644", source: packaging + "/schema/fusectl.schema.json"}},
	"usr/share/fish/vendor_completions.d/fusermount.fish":  {{mode: "-> fusermount3.fish", only: []string{deb}}},
	"usr/share/bash-completion/completions/fusermount3":    {{mode: "0644", source: packaging + "/completions/fusermount3.bash"}},
	"usr/share/fish/vendor_completions.d/fusermount3.fish": {{mode: "0644", source: packaging + "/completions/fusermount3.fish"}},
	"usr/lib/udev/rules.d/60-fusermount.rules":             {{mode: "0644", source: packaging + "/udev/60-fusermount.rules"}},
	"usr/lib/modules-load.d/fusermount.conf":               {{mode: "0644", source: packaging + "/modules-load/fusermount.conf"}},
	"usr/share/go-fusermount/apparmor/fusermount3":         {{mode: "0644", source: packaging + "/apparmor/fusermount3"}},
	"etc/apparmor.d/go-fusermount":                         {{mode: "-> /usr/share/go-fusermount/apparmor/fusermount3", only: []string{deb}}},
	"etc/apparmor.d/disable/fusermount3":                   {{mode: "-> ../go-fusermount", only: []string{deb}}},
	"usr/share/doc/go-fusermount/copyright":                {{mode: "0644", source: packaging + "/copyright"}},
	"usr/share/doc/go-fusermount/changelog.Debian.gz":      {{mode: "0644", only: []string{deb}}},
	"usr/share/doc/go-fusermount/examples/fuse.conf":       {{mode: "0644", source: packaging + "/fuse.conf"}},
	"usr/share/lintian/overrides/go-fusermount":            {{mode: "0644", source: packaging + "/deb/lintian-overrides", only: []string{deb}}},
}

// pack returns the package of a format for amd64.
func pack(t *testing.T, format string) string {
	t.Helper()
	dir := os.Getenv("FUSERMOUNT_PACKAGES")
	if dir == "" {
		t.Skip("looks into packages: run 'make test-packages'")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"+format))
	if err != nil {
		t.Fatal(err)
	}
	files = slices.DeleteFunc(files, func(name string) bool { return !strings.Contains(name, "amd64") && !strings.Contains(name, "x86_64") })
	if len(files) != 1 {
		t.Fatalf("there are %q for amd64 in %s", files, dir)
	}
	return files[0]
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		fusetest.Skip(t, "install "+name+": 'make test-packages' does")
	}
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		t.Fatalf("%s: %v: %s%s", name, err, out, exit.Stderr)
	}
	return string(out)
}

// archive returns what a package installs as a tar file, by dpkg or libarchive.
func archive(t *testing.T, format string) string {
	t.Helper()
	if format == deb {
		return output(t, "dpkg-deb", "--fsys-tarfile", pack(t, format))
	}
	return output(t, "bsdtar", "-c", "-f", "-", "--format=pax", "@"+pack(t, format))
}

func TestContents(t *testing.T) {
	for _, format := range []string{deb, rpm, apk, arch} {
		t.Run(format, func(t *testing.T) {
			want, sources := map[string]string{}, map[string]string{}
			for name, entries := range contents {
				for _, e := range entries {
					if len(e.only) == 0 || slices.Contains(e.only, format) {
						want[name], sources[name] = e.mode, e.source
					}
				}
			}
			got := map[string]string{}
			for _, h := range headers(t, archive(t, format)) {
				name := strings.Trim(strings.TrimPrefix(h.Name, "."), "/")
				mode := modeOf(h.FileInfo().Mode())
				switch {
				case h.Uid != 0 || h.Gid != 0:
					t.Errorf("%s belongs to %d:%d", name, h.Uid, h.Gid)
				case h.Typeflag == tar.TypeSymlink:
					got[name] = "-> " + h.Linkname
				case h.Typeflag != tar.TypeDir:
					got[name] = mode
					wantSize(t, h, sources[name])
				case mode != "0755":
					t.Errorf("the directory %s has mode %s", name, mode)
				}
			}
			compare(t, "the package", got, want)
		})
	}
}

// headers lists a tar file without the metadata of apk and pacman.
func headers(t *testing.T, text string) (all []*tar.Header) {
	t.Helper()
	for r := tar.NewReader(strings.NewReader(text)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(h.Name, "./") || !strings.HasPrefix(h.Name, ".") {
			all = append(all, h)
		}
	}
}

func wantSize(t *testing.T, h *tar.Header, source string) {
	t.Helper()
	if source == "" {
		if h.Size == 0 {
			t.Errorf("%s is empty", h.Name)
		}
		return
	}
	info, err := os.Stat(source)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() != h.Size {
		t.Errorf("%s has %d bytes, and %s has %d", h.Name, h.Size, source, info.Size())
	}
}

// By the formats' own tools: rpm has no scripts, apk and pacman have those that remove the
// privileges of an old helper, and the relations to libfuse's package are those in
// packaging/README.md.
func TestNotes(t *testing.T) {
	t.Run(deb, func(t *testing.T) {
		control := output(t, "dpkg-deb", "--info", pack(t, deb))
		for _, want := range []string{" Depends: fuse3\n", " Architecture: amd64\n", " preinst ", " postinst ", " prerm ", " postrm "} {
			if !strings.Contains(control, want) {
				t.Errorf("it lacks %q:\n%s", want, control)
			}
		}
		if strings.Contains(control, "conffiles") {
			t.Errorf("it has settings, which would stay behind:\n%s", control)
		}
	})
	t.Run(rpm, func(t *testing.T) {
		file := pack(t, rpm)
		output(t, "rpm", "--checksig", "--nosignature", file)
		about := output(t, "rpm", "-qp", "--queryformat", "%{SUMMARY}\n%{DESCRIPTION}", file)
		if summary, text, _ := strings.Cut(about, "\n"); summary == "" || text == "" || strings.Contains(text, summary) {
			t.Errorf("its description repeats its summary, or lacks one: %q", about)
		}
		if scripts := output(t, "rpm", "-qp", "--scripts", "--triggers", file); scripts != "" {
			t.Errorf("it has scripts:\n%s", scripts)
		}
		if conflicts := output(t, "rpm", "-qp", "--conflicts", file); conflicts != "fuse3\n" {
			t.Errorf("it conflicts with %q", conflicts)
		}
		if provides := output(t, "rpm", "-qp", "--provides", file); !strings.HasPrefix(provides, "fuse3 = "+standsFor(t)+"\n") {
			t.Errorf("it provides %q", provides)
		}
	})
	t.Run(apk, func(t *testing.T) {
		scripts := map[string]string{}
		for name := range strings.Lines(output(t, "bsdtar", "-tf", pack(t, apk))) {
			name = strings.TrimSuffix(name, "\n")
			if strings.HasPrefix(name, ".") && name != ".PKGINFO" {
				scripts[name] = output(t, "bsdtar", "-xOf", pack(t, apk), name)
			}
		}
		before, after := script(t, "keep-old"), script(t, "drop-old")
		compare(t, "the package", scripts, map[string]string{
			".pre-upgrade": before, ".post-upgrade": after, ".pre-deinstall": before, ".post-deinstall": after,
		})
		if notes := output(t, "bsdtar", "-xOf", pack(t, apk), ".PKGINFO"); !strings.Contains(notes, "\nprovides = fuse3="+standsFor(t)+"\n") {
			t.Errorf("its notes:\n%s", notes)
		}
	})
	t.Run(arch, func(t *testing.T) {
		db := fusetest.Dir(t, 0)
		notes := output(t, "pacman", "--config", "/dev/null", "--dbpath", db, "-Qip", pack(t, arch))
		if !strings.Contains(notes, "Conflicts With  : fuse3\n") || !strings.Contains(notes, "Install Script  : Yes\n") {
			t.Errorf("its notes:\n%s", notes)
		}
		scripts := output(t, "bsdtar", "-xOf", pack(t, arch), ".INSTALL")
		for name, want := range map[string]string{"pre_upgrade": "keep-old", "post_upgrade": "drop-old", "pre_remove": "keep-old", "post_remove": "drop-old"} {
			if !strings.Contains(scripts, "function "+name+"() {\n"+script(t, want)+"\n}\n") {
				t.Errorf("%s is not %s:\n%s", name, want, scripts)
			}
		}
	})
}

func script(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(packaging, "scripts", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// standsFor is the version of libfuse that the program reports.
func standsFor(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../internal/helper/run.go")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`compatibleWith = "([0-9.]+)"`).FindSubmatch(text)
	if m == nil {
		t.Fatal("internal/helper/run.go has no compatibleWith")
	}
	return string(m[1])
}

// A binary comes with the licences of its contents.
func TestCopyright(t *testing.T) {
	r := tar.NewReader(strings.NewReader(archive(t, deb)))
	for {
		h, err := r.Next()
		if err != nil {
			t.Fatal("there is no copyright: ", err)
		}
		if filepath.Base(h.Name) != "copyright" {
			continue
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, holder := range []string{"The fusermount authors", "Copyright 2009 The Go Authors", "Alex Ogier"} {
			if !bytes.Contains(text, []byte(holder)) {
				t.Errorf("%q is not named", holder)
			}
		}
		return
	}
}
