package packages

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

const packaging = "../../packaging"

// someUser owns nothing, and has no name.
const someUser = helpertest.Alice

// installed is what "make install PREFIX=/usr" makes below DESTDIR: links by
// their targets, files by their modes.
var installed = map[string]string{
	"usr/bin/fusermount3":                                  "4755",
	"usr/bin/fusermount":                                   "-> fusermount3",
	"usr/bin/fusectl":                                      "0755",
	"usr/sbin/fusermountd":                                 "0755",
	"usr/share/man/man8/fusermountd.8":                     "0644",
	"usr/lib/systemd/system/fusermountd.service":           "0644",
	"usr/lib/systemd/system/fusermountd.socket":            "0644",
	"usr/share/bash-completion/completions/fusectl":        "0644",
	"usr/share/zsh/site-functions/_fusectl":                "0644",
	"usr/share/fish/vendor_completions.d/fusectl.fish":     "0644",
	"usr/share/man/man1/fusectl.1":                         "0644",
	"usr/share/go-fusermount/fusectl.schema.json":          "0644",
	"usr/share/fish/vendor_completions.d/fusermount.fish":  "-> fusermount3.fish",
	"usr/share/man/man1/fusermount3.1":                     "0644",
	"usr/share/man/man1/fusermount.1":                      "-> fusermount3.1",
	"usr/share/man/man5/fuse.conf.5":                       "0644",
	"usr/share/bash-completion/completions/fusermount3":    "0644",
	"usr/share/zsh/site-functions/_fusermount3":            "0644",
	"usr/share/fish/vendor_completions.d/fusermount3.fish": "0644",
	"usr/lib/udev/rules.d/60-fusermount.rules":             "0644",
	"usr/lib/modules-load.d/fusermount.conf":               "0644",
	"usr/share/doc/fusermount/copyright":                   "0644",
	"usr/share/doc/fusermount/README.md":                   "0644",
	"usr/share/doc/fusermount/COMPAT.md":                   "0644",
	"usr/share/doc/fusermount/SECURITY.md":                 "0644",
	"usr/share/doc/fusermount/CHANGELOG.md":                "0644",
	"etc/fuse.conf":                                        "0644",
	"etc/apparmor.d/fusermount3":                           "0644",
}

func TestInstall(t *testing.T) {
	s := newStaging(t)
	s.run(t, "install", "MODE=setuid")
	s.want(t, installed)
	s.run(t, "install", "MODE=setuid") // over itself
	s.want(t, installed)
	s.run(t, "uninstall", "MODE=setuid")
	s.want(t, map[string]string{})
}

// Files that the administrator has changed, or had before, stay.
func TestInstallKeepsSettings(t *testing.T) {
	s := newStaging(t)
	settings := map[string]string{"etc/fuse.conf": "user_allow_other\n", "etc/apparmor.d/fusermount3": "# another one\n"}
	for name, text := range settings {
		s.write(t, name, text)
	}
	for _, action := range []string{"install", "uninstall"} {
		output := s.run(t, action, "MODE=setuid")
		for name, text := range settings {
			if got := s.read(t, name); got != text {
				t.Errorf("%s made %s %q", action, name, got)
			}
			if !strings.Contains(output, name) {
				t.Errorf("%s does not say that %s stays: %q", action, name, output)
			}
		}
	}
	s.want(t, map[string]string{"etc/fuse.conf": "0644", "etc/apparmor.d/fusermount3": "0644"})
}

// The profile and the unit are for the programs' path.
func TestInstallProfileAttaches(t *testing.T) {
	s := newStaging(t)
	s.run(t, "install", "MODE=setuid", "PREFIX=/usr/local")
	profile := s.read(t, "etc/apparmor.d/fusermount3")
	if strings.Contains(profile, "/usr/bin/") || !strings.Contains(profile, "profile fusermount3 /usr/local/bin/fusermount{,3} ") {
		t.Errorf("the profile of /usr/local/bin/fusermount3:\n%s", profile)
	}
	if unit := s.read(t, "usr/local/lib/systemd/system/fusermountd.service"); !strings.Contains(unit, "\nExecStart=/usr/local/sbin/fusermountd\n") {
		t.Errorf("the unit of /usr/local/sbin/fusermountd:\n%s", unit)
	}
	s.run(t, "uninstall", "MODE=setuid", "PREFIX=/usr/local")
	s.want(t, map[string]string{})
}

// A build that reads another fuse.conf is installed with that one.
func TestInstallElsewhere(t *testing.T) {
	s := newStaging(t)
	if err := os.WriteFile(filepath.Join(filepath.Dir(s.dir), "sysconfdir"), []byte("/opt/etc\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.helper = filepath.Join(filepath.Dir(s.dir), "holder")
	if err := os.Link(holder, s.helper); err != nil {
		t.Fatal(err)
	}
	s.refuse(t, "the helper reads /opt/etc/fuse.conf: ", "install", "MODE=setuid")
	s.run(t, "install", "MODE=setuid", "SYSCONFDIR=/opt/etc/")
	want := maps.Clone(installed)
	want["opt/etc/fuse.conf"] = want["etc/fuse.conf"]
	delete(want, "etc/fuse.conf")
	s.want(t, want)
	for _, name := range []string{"usr/share/man/man5/fuse.conf.5", "etc/apparmor.d/fusermount3"} {
		if text := s.read(t, name); strings.Contains(strings.ReplaceAll(text, "/opt/etc/", ""), "/etc/fuse.conf") || !strings.Contains(text, "/opt/etc/fuse.conf") {
			t.Errorf("%s does not name the file that is read:\n%s", name, text)
		}
	}
	s.run(t, "uninstall", "MODE=setuid", "SYSCONFDIR=/opt/etc")
	s.want(t, map[string]string{})
}

func TestInstallWithoutRule(t *testing.T) {
	s := newStaging(t)
	s.run(t, "install", "MODE=setuid", "UDEV=no")
	want := maps.Clone(installed)
	delete(want, "usr/lib/udev/rules.d/60-fusermount.rules")
	s.want(t, want)
	s.run(t, "uninstall", "MODE=setuid")
	s.want(t, map[string]string{})
}

func TestInstallCapability(t *testing.T) {
	s := newStaging(t)
	output := s.run(t, "install", "MODE=caps")
	want := maps.Clone(installed)
	want["usr/bin/fusermount3"] = "0755"
	s.want(t, want)
	switch _, err := unix.Lgetxattr(filepath.Join(s.dir, "usr/bin/fusermount3"), "security.capability", nil); {
	case s.uid != 0 && !strings.Contains(output, "only root can run 'setcap"):
		t.Errorf("it does not say that the capability is missing: %q", output)
	case s.uid == 0 && err != nil:
		t.Errorf("the capability: %v", err)
	}
}

// A packager fills a DESTDIR without being root.
func TestInstallAsUser(t *testing.T) {
	fusetest.NeedRoot(t)
	s := newStaging(t)
	s.give(t, someUser)
	output := s.run(t, "install", "MODE=setuid")
	s.want(t, installed)
	if !strings.Contains(output, "'chown root:root "+s.dir+"/usr/bin/fusermount3', then 'chmod 4755 ") {
		t.Errorf("it does not say that the helper is not root's: %q", output)
	}
	s.run(t, "install", "MODE=caps")
	s.run(t, "uninstall", "MODE=caps")
	s.want(t, map[string]string{})
}

// staging is a DESTDIR, and the user that fills it.
type staging struct {
	dir    string
	source string // a copy of packaging that everybody may read
	helper string
	uid    int
}

func newStaging(t *testing.T) *staging {
	t.Helper()
	base := fusetest.Dir(t, 0)
	s := &staging{dir: filepath.Join(base, "dest"), source: filepath.Join(base, "packaging"), helper: holder}
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := others(base); err != nil { // for a helper beside them
		t.Fatal(err)
	}
	if err := os.CopyFS(s.source, os.DirFS(packaging)); err != nil {
		t.Fatal(err)
	}
	for _, doc := range []string{"README.md", "COMPAT.md", "SECURITY.md", "CHANGELOG.md"} {
		text, err := os.ReadFile("../../" + doc)
		if err := errors.Join(err, os.WriteFile(filepath.Join(base, doc), text, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	s.uid = os.Getuid()
	return s
}

// give has another user fill the DESTDIR.
func (s *staging) give(t *testing.T, uid int) {
	t.Helper()
	s.uid = uid
	if err := os.Chown(s.dir, uid, uid); err != nil {
		t.Fatal(err)
	}
}

func (s *staging) command(action string, variables ...string) *exec.Cmd {
	cmd := exec.Command("sh", filepath.Join(s.source, "install.sh"), action)
	if action == "install" {
		cmd.Args = append(cmd.Args, s.helper)
	}
	cmd.Dir = filepath.Dir(s.dir)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin", "DESTDIR=" + s.dir, "PREFIX=/usr", "SYSCONFDIR=/etc"}, variables...)
	if s.uid != os.Getuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(s.uid), Gid: uint32(s.uid)}}
	}
	return cmd
}

func (s *staging) run(t *testing.T, action string, variables ...string) string {
	t.Helper()
	out, err := s.command(action, variables...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", action, err, out)
	}
	return string(out)
}

// want compares all files below DESTDIR. Directories must be open to all users.
func (s *staging) want(t *testing.T, want map[string]string) {
	t.Helper()
	compare(t, "DESTDIR", s.list(t), want)
}

func (s *staging) list(t *testing.T) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := fs.WalkDir(os.DirFS(s.dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		path := filepath.Join(s.dir, name)
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			if info.Mode().Perm() != 0o755 {
				t.Errorf("%s has mode %v", name, info.Mode())
			}
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			got[name] = "-> " + target
			return err
		default:
			got[name] = modeOf(info.Mode())
			if st := info.Sys().(*syscall.Stat_t); int(st.Uid) != s.uid {
				t.Errorf("%s belongs to %d", name, st.Uid)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func (s *staging) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func (s *staging) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
