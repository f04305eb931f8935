package packages

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// refuse wants an installation that ends with this text, and has copied nothing.
func (s *staging) refuse(t *testing.T, want, action string, variables ...string) {
	t.Helper()
	out, err := s.command(action, variables...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), want) {
		t.Errorf("%s %q: %v, and it says %q; want %q", action, variables, err, out, want)
	}
	s.want(t, map[string]string{})
}

func TestInstallRefuses(t *testing.T) {
	s := newStaging(t)
	s.refuse(t, "MODE is setuid, caps or none", "install", "MODE=suid")
	s.refuse(t, "PREFIX, SYSCONFDIR and SBINDIR begin with /", "install", "MODE=setuid", "PREFIX=usr")
	s.refuse(t, "PREFIX, SYSCONFDIR and SBINDIR begin with /", "install", "MODE=setuid", "SYSCONFDIR=")
	s.refuse(t, "the helper reads /etc/fuse.conf: ", "install", "MODE=setuid", "SYSCONFDIR=/usr/local/etc")
	s.refuse(t, "UDEV is yes or no", "install", "MODE=setuid", "UDEV=1")
	s.refuse(t, "usage: ", "deinstall", "MODE=setuid")
}

// Without setcap the helper would be installed without its capability.
func TestInstallWithoutSetcap(t *testing.T) {
	s := newStaging(t)
	if s.uid != 0 {
		fusetest.Skip(t, "for root: 'sudo make test-packages' runs it")
	}
	bin := fusetest.Dir(t, 0)
	for _, name := range []string{"sh", "id", "dirname", "mkdir", "install", "chmod", "chown", "mv", "ln", "cat", "rm", "sed", "cmp", "od"} {
		link(t, name, filepath.Join(bin, name))
	}
	s.refuse(t, "apt-get install libcap2-bin", "install", "MODE=caps", "PATH="+bin)
	link(t, "false", filepath.Join(bin, "setcap"))
	s.refuse(t, "", "install", "MODE=caps", "PATH="+bin) // as on a file system that has no capabilities
}

func link(t *testing.T, program, name string) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err := errors.Join(err, os.Symlink(path, name)); err != nil {
		t.Fatal(err)
	}
}

// Only root may fill the system itself.
func TestInstallAsUserWithoutDestdir(t *testing.T) {
	fusetest.NeedRoot(t)
	s := newStaging(t)
	s.give(t, someUser)
	for _, action := range []string{"install", "uninstall"} {
		s.refuse(t, "run it as root, or give a DESTDIR", action, "MODE=setuid", "DESTDIR=")
	}
}

// A relative DESTDIR is relative to the caller's directory.
func TestInstallRelative(t *testing.T) {
	s := newStaging(t)
	s.run(t, "install", "MODE=setuid", "DESTDIR="+filepath.Base(s.dir))
	s.want(t, installed)
	s.run(t, "uninstall", "MODE=setuid", "DESTDIR="+filepath.Base(s.dir))
	s.want(t, map[string]string{})
}

// make runs the Makefile itself, without go, in a copy of what it needs.
func (s *staging) make(t *testing.T, args ...string) (string, error) {
	t.Helper()
	text, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	base := filepath.Dir(s.source)
	if err := os.WriteFile(filepath.Join(base, "Makefile"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("make", append([]string{"--no-print-directory", "-C", base}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "PREFIX=/usr"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// "sudo make install" builds nothing: root may have no go, and the user could not replace
// files that root has built.
func TestMakeInstall(t *testing.T) {
	s := newStaging(t)
	odd := filepath.Join(s.dir, "it's a \"place\"")
	if out, err := s.make(t, "install", "DESTDIR="+odd); err == nil || !strings.Contains(out, "run 'make build' first, as yourself") {
		t.Errorf("without a helper: %v: %s", err, out)
	}
	s.want(t, map[string]string{})
	helper := filepath.Join(filepath.Dir(s.source), "build/fusermount3")
	if err := errors.Join(os.Mkdir(filepath.Dir(helper), 0o755), os.Link(holder, helper),
		others(filepath.Dir(helper))); err != nil {
		t.Fatal(err)
	}
	if out, err := s.make(t, "install", "DESTDIR="+odd); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := map[string]string{}
	for name, is := range installed {
		want[filepath.Join(filepath.Base(odd), name)] = is
	}
	s.want(t, want)
	if original, err := os.ReadFile(holder); err != nil || s.read(t, filepath.Join(filepath.Base(odd), "usr/bin/fusermount3")) != string(original) {
		t.Errorf("the helper is no copy of what was built (%v)", err)
	}
	if err := os.RemoveAll(filepath.Dir(helper)); err != nil {
		t.Fatal(err)
	}
	if out, err := s.make(t, "uninstall", "DESTDIR="+odd); err != nil { // the built files are gone by then
		t.Fatalf("%v: %s", err, out)
	}
	s.want(t, map[string]string{})
}
