package packages

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
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

var (
	unpacked = []string{rpm, apk, arch} // run no script to set modes
	beside   = []string{rpm, arch}      // have the helper beside libfuse's, by links
)

const built = "../../build/linux-amd64"

// contents is all that the packages contain, by package.
var contents = map[string]map[string][]entry{
	"go-fusermount": {
		"usr/bin/fusermount3": {
			{mode: "0755", source: built + "/fusermount3", only: []string{deb}}, // postinst sets the mode
			{mode: "4755", source: built + "/fusermount3", only: []string{apk}},
		},
		"usr/lib/go-fusermount/fusermount3":                    {{mode: "4755", source: built + "/fusermount3", only: beside}},
		"usr/lib/go-fusermount/fusermount3.1.gz":               {{mode: "0644", only: beside}},
		"usr/lib/go-fusermount/beside":                         {{mode: "0755", source: packaging + "/beside", only: beside}},
		"usr/share/libalpm/hooks/go-fusermount.hook":           {{mode: "0644", source: packaging + "/arch/go-fusermount.hook", only: []string{arch}}},
		"usr/share/man/man1/fusermount3.1.gz":                  {{mode: "0644", only: []string{deb, apk}}},
		"usr/share/man/man1/fusermount.1.gz":                   {{mode: "-> fusermount3.1.gz", only: []string{deb}}},
		"usr/share/man/man1/fusectl.1.gz":                      {{mode: "0644"}},
		"usr/share/man/man5/fuse.conf.5.gz":                    {{mode: "0644"}},
		"usr/bin/fusectl":                                      {{mode: "0755", source: built + "/fusectl"}},
		"usr/share/zsh/vendor-completions/_fusermount3":        {{mode: "0644", source: packaging + "/completions/_fusermount3", only: []string{deb}}},
		"usr/share/zsh/vendor-completions/_fusectl":            {{mode: "0644", source: packaging + "/completions/_fusectl", only: []string{deb}}},
		"usr/share/zsh/site-functions/_fusermount3":            {{mode: "0644", source: packaging + "/completions/_fusermount3", only: unpacked}},
		"usr/share/zsh/site-functions/_fusectl":                {{mode: "0644", source: packaging + "/completions/_fusectl", only: unpacked}},
		"usr/share/bash-completion/completions/fusectl":        {{mode: "0644", source: packaging + "/completions/fusectl.bash"}},
		"usr/share/bash-completion/completions/fusermount3":    {{mode: "0644", source: packaging + "/completions/fusermount3.bash"}},
		"usr/share/fish/vendor_completions.d/fusectl.fish":     {{mode: "0644", source: packaging + "/completions/fusectl.fish"}},
		"usr/share/fish/vendor_completions.d/fusermount3.fish": {{mode: "0644", source: packaging + "/completions/fusermount3.fish"}},
		"usr/share/fish/vendor_completions.d/fusermount.fish":  {{mode: "-> fusermount3.fish", only: []string{deb}}},
		"usr/share/go-fusermount/fusectl.schema.json":          {{mode: "0644", source: packaging + "/schema/fusectl.schema.json"}},
		"usr/share/go-fusermount/apparmor/fusermount3":         {{mode: "0644", source: packaging + "/apparmor/fusermount3"}},
		"usr/lib/modules-load.d/fusermount.conf":               {{mode: "0644", source: packaging + "/modules-load/fusermount.conf"}},
		"etc/apparmor.d/go-fusermount":                         {{mode: "-> /usr/share/go-fusermount/apparmor/fusermount3", only: []string{deb}}},
		"etc/apparmor.d/disable/fusermount3":                   {{mode: "-> ../go-fusermount", only: []string{deb}}},
		"usr/share/licenses/go-fusermount/copyright":           {{mode: "0644", source: packaging + "/debian/copyright", only: unpacked}},
		"usr/share/doc/go-fusermount/copyright":                {{mode: "0644", source: packaging + "/debian/copyright", only: []string{deb}}},
		"usr/share/doc/go-fusermount/changelog.Debian.gz":      {{mode: "0644", only: []string{deb}}},
		"usr/share/doc/go-fusermount/changelog.gz":             {{mode: "0644", only: []string{deb}}},
		"usr/share/doc/go-fusermount/README.md.gz":             {{mode: "0644", only: []string{deb}}},
		"usr/share/doc/go-fusermount/COMPAT.md.gz":             {{mode: "0644", only: []string{deb}}},
		"usr/share/doc/go-fusermount/SECURITY.md.gz":           {{mode: "0644", only: []string{deb}}},
		"usr/share/doc/go-fusermount/CHANGELOG.md":             {{mode: "0644", source: "../../CHANGELOG.md", only: unpacked}},
		"usr/share/doc/go-fusermount/README.md":                {{mode: "0644", source: "../../README.md", only: unpacked}},
		"usr/share/doc/go-fusermount/COMPAT.md":                {{mode: "0644", source: "../../COMPAT.md", only: unpacked}},
		"usr/share/doc/go-fusermount/SECURITY.md":              {{mode: "0644", source: "../../SECURITY.md", only: unpacked}},
		"usr/share/doc/go-fusermount/examples/fuse.conf":       {{mode: "0644", source: packaging + "/fuse.conf"}},
		"usr/share/doc/go-fusermount/examples/60-fusermount.rules": {
			{mode: "0644", source: packaging + "/udev/60-fusermount.rules"},
		},
		"usr/share/lintian/overrides/go-fusermount": {{mode: "0644", source: packaging + "/debian/go-fusermount.lintian-overrides", only: []string{deb}}},
	},
	"go-fusermountd": {
		"usr/sbin/fusermountd":                             {{mode: "0755", source: built + "/fusermountd", only: []string{deb, rpm, apk}}},
		"usr/bin/fusermountd":                              {{mode: "0755", source: built + "/fusermountd", only: []string{arch}}},
		"usr/share/man/man8/fusermountd.8.gz":              {{mode: "0644"}},
		"usr/lib/systemd/system/fusermountd.socket":        {{mode: "0644", source: packaging + "/systemd/fusermountd.socket", only: []string{deb, rpm, arch}}},
		"usr/lib/systemd/system/fusermountd.service":       {{mode: "0644", only: []string{deb, rpm, arch}}},
		"etc/init.d/fusermountd":                           {{mode: "0755", source: packaging + "/openrc/fusermountd", only: []string{apk}}},
		"usr/share/licenses/go-fusermountd/copyright":      {{mode: "0644", source: packaging + "/debian/copyright", only: unpacked}},
		"usr/share/doc/go-fusermountd/copyright":           {{mode: "0644", source: packaging + "/debian/copyright", only: []string{deb}}},
		"usr/share/doc/go-fusermountd/changelog.Debian.gz": {{mode: "0644", only: []string{deb}}},
		"usr/share/doc/go-fusermountd/changelog.gz":        {{mode: "0644", only: []string{deb}}},
		"usr/share/lintian/overrides/go-fusermountd":       {{mode: "0644", source: packaging + "/debian/go-fusermountd.lintian-overrides", only: []string{deb}}},
	},
}

// maker is what has made packages.
type maker struct {
	name     string
	variable string // names their directory
	ours     bool   // of the programs in built
}

// "make packages" makes them for releases, the distributions' own tools from a source tarball.
var makers = []maker{
	{name: "release", variable: "FUSERMOUNT_PACKAGES", ours: true},
	{name: "recipe", variable: "FUSERMOUNT_RECIPES"},
}

// pack returns the package of a name and a format for amd64.
func (m maker) pack(t *testing.T, name, format string) string {
	t.Helper()
	dir := os.Getenv(m.variable)
	if dir == "" {
		fusetest.Skip(t, "run 'make test-packages': it looks into packages")
	}
	files, err := filepath.Glob(filepath.Join(dir, name+"?[0-9]*"+format))
	if err != nil {
		t.Fatal(err)
	}
	files = slices.DeleteFunc(files, func(name string) bool { return strings.Contains(name, ".src.") })
	if len(files) != 1 {
		t.Fatalf("there are %q for %s in %s", files, name, dir)
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
func archive(t *testing.T, format, file string) string {
	t.Helper()
	if format == deb {
		return output(t, "dpkg-deb", "--fsys-tarfile", file)
	}
	return output(t, "bsdtar", "-c", "-f", "-", "--format=pax", "@"+file)
}

// The layout is the same for all who make packages of a format.
func TestContents(t *testing.T) {
	for _, m := range makers {
		for _, format := range []string{deb, rpm, apk, arch} {
			for name, all := range contents {
				t.Run(m.name+format+"_"+name, func(t *testing.T) {
					want, sources := map[string]string{}, map[string]string{}
					for path, entries := range all {
						for _, e := range entries {
							if len(e.only) == 0 || slices.Contains(e.only, format) {
								want[path], sources[path] = e.mode, e.source
							}
						}
					}
					files := []string{m.pack(t, name, format)}
					if format == apk && !m.ours && name == "go-fusermountd" {
						files = append(files, m.pack(t, "go-fusermountd-openrc", format)) // Alpine's way
					}
					got := map[string]string{}
					for _, file := range files {
						for _, h := range headers(t, archive(t, format, file)) {
							look(t, m, h, got, sources)
						}
					}
					compare(t, "the package", got, want)
				})
			}
		}
	}
}

// look adds an entry of a package to got.
func look(t *testing.T, m maker, h *tar.Header, got, sources map[string]string) {
	t.Helper()
	path := strings.Trim(strings.TrimPrefix(h.Name, "."), "/")
	mode := modeOf(h.FileInfo().Mode())
	switch {
	case h.Uid != 0 || h.Gid != 0:
		t.Errorf("%s belongs to %d:%d", path, h.Uid, h.Gid)
	case h.Typeflag == tar.TypeSymlink:
		got[path] = "-> " + h.Linkname
	case h.Typeflag == tar.TypeDir && mode != "0755":
		t.Errorf("the directory %s has mode %s", path, mode)
	case h.Typeflag != tar.TypeDir:
		got[path] = mode
		source := sources[path]
		if !m.ours && strings.HasPrefix(source, built) {
			source = "" // another compiler, or with another version
		}
		wantSize(t, h, source)
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

// The relations to libfuse's package, and the scripts, are those in packaging/README.md.
func TestNotes(t *testing.T) {
	for _, m := range makers {
		t.Run(m.name, func(t *testing.T) {
			t.Run(deb, func(t *testing.T) { notesOfDeb(t, m) })
			t.Run(rpm, func(t *testing.T) { notesOfRPM(t, m) })
			t.Run(apk, func(t *testing.T) { notesOfAPK(t, m) })
			t.Run(arch, func(t *testing.T) { notesOfArch(t, m) })
		})
	}
}

func notesOfDeb(t *testing.T, m maker) {
	control := output(t, "dpkg-deb", "--info", m.pack(t, "go-fusermount", deb))
	for _, want := range []string{" Depends: fuse3\n", " Suggests: go-fusermountd\n", " Architecture: amd64\n", " preinst ", " postinst ", " prerm ", " postrm "} {
		if !strings.Contains(control, want) {
			t.Errorf("it lacks %q:\n%s", want, control)
		}
	}
	if strings.Contains(control, "conffiles") {
		t.Errorf("it has settings, which would stay behind:\n%s", control)
	}
}

func notesOfRPM(t *testing.T, m maker) {
	for name := range contents {
		file := m.pack(t, name, rpm)
		output(t, "rpm", "--checksig", "--nosignature", file)
		about := output(t, "rpm", "-qp", "--queryformat", "%{SUMMARY}\n%{DESCRIPTION}", file)
		if summary, text, _ := strings.Cut(about, "\n"); summary == "" || text == "" || strings.Contains(text, summary) {
			t.Errorf("the description of %s repeats its summary, or lacks one: %q", name, about)
		}
	}
	file := m.pack(t, "go-fusermount", rpm)
	scripts := output(t, "rpm", "-qp", "--scripts", "--triggers", file)
	for _, want := range []string{"triggerin scriptlet (using /bin/sh) -- fuse3\n/usr/lib/go-fusermount/beside on\n", "\t/usr/lib/go-fusermount/beside off\n"} {
		if !strings.Contains(scripts, want) {
			t.Errorf("its scripts lack %q:\n%s", want, scripts)
		}
	}
	if requires := output(t, "rpm", "-qp", "--requires", file); !strings.Contains(requires, "fuse3\n") || !strings.Contains(requires, "/etc/fuse.conf\n") {
		t.Errorf("it requires %q", requires)
	}
	if provides := output(t, "rpm", "-qp", "--provides", file); strings.Contains("\n"+provides, "\nfuse3") {
		t.Errorf("it promises what is fuse3's: %q", provides)
	}
}

// The recipe's scripts are run by packages-held.sh.
func notesOfAPK(t *testing.T, m maker) {
	if !m.ours {
		return
	}
	file := m.pack(t, "go-fusermount", apk)
	scripts, want := map[string]string{}, map[string]string{}
	for name := range strings.Lines(output(t, "bsdtar", "-tf", file)) {
		name = strings.TrimSuffix(name, "\n")
		if strings.HasPrefix(name, ".") && name != ".PKGINFO" {
			scripts[name] = output(t, "bsdtar", "-xOf", file, name)
		}
	}
	for _, name := range []string{"pre-install", "post-install", "pre-upgrade", "post-upgrade", "pre-deinstall", "post-deinstall"} {
		text, err := os.ReadFile(filepath.Join(packaging, "alpine", "go-fusermount."+name))
		if err != nil {
			t.Fatal(err)
		}
		want["."+name] = string(text)
	}
	compare(t, "the package", scripts, want)
	notes := output(t, "bsdtar", "-xOf", file, ".PKGINFO")
	for _, want := range []string{"replaces = fuse3\n", "depend = fuse3\n", "depend = fuse-common\n"} {
		if !strings.Contains(notes, want) {
			t.Errorf("its notes lack %q:\n%s", want, notes)
		}
	}
	if strings.Contains(notes, "provides") {
		t.Errorf("it promises what is fuse3's:\n%s", notes)
	}
}

func notesOfArch(t *testing.T, m maker) {
	file := m.pack(t, "go-fusermount", arch)
	notes := output(t, "pacman", "--config", "/dev/null", "--dbpath", fusetest.Dir(t, 0), "-Qip", file)
	for _, want := range []string{"Conflicts With  : None\n", "Provides        : None\n", "Install Script  : Yes\n", "Depends On      : fuse3  fuse-common\n"} {
		if !strings.Contains(notes, want) {
			t.Errorf("its notes lack %q:\n%s", want, notes)
		}
	}
	if script := output(t, "bsdtar", "-xOf", file, ".INSTALL"); !strings.Contains(script, "pre_remove() {\n\t/usr/lib/go-fusermount/beside off\n") {
		t.Errorf("its script:\n%s", script)
	}
}

// A binary comes with the licences of its contents.
func TestCopyright(t *testing.T) {
	text, err := os.ReadFile(packaging + "/debian/copyright")
	if err != nil {
		t.Fatal(err)
	}
	for _, holder := range []string{"The fusermount authors", "2009 The Go Authors", "Alex Ogier"} {
		if !strings.Contains(string(text), holder) {
			t.Errorf("%q is not named", holder)
		}
	}
}
