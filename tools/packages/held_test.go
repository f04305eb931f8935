package packages

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// attacker is a user who keeps programs open, to execute them later.
type attacker struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Reader
}

// hold starts an attacker, who has opened the programs when it returns.
func hold(t *testing.T, paths ...string) *attacker {
	t.Helper()
	fusetest.NeedRoot(t)
	a := &attacker{cmd: exec.Command(holder, append([]string{"hold"}, paths...)...)}
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: someUser, Gid: someUser}}
	stdin, err := a.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := a.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	a.stdin, a.out = stdin, bufio.NewReader(stdout)
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if a.cmd.ProcessState == nil {
			_, _ = a.attack(t)
		}
	})
	if line, err := a.out.ReadString('\n'); err != nil || line != "holding\n" {
		t.Fatalf("the attacker says %q: %v", line, err)
	}
	return a
}

// attack reports whether one of the programs may run with privileges.
func (a *attacker) attack(t *testing.T) (output string, privileged bool) {
	t.Helper()
	if err := a.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(a.out)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.cmd.Wait(); err != nil && a.cmd.ProcessState.ExitCode() != 1 {
		t.Fatalf("the attacker: %v: %s", err, out)
	}
	return string(out), !a.cmd.ProcessState.Success()
}

func (a *attacker) wantNothing(t *testing.T) {
	t.Helper()
	if output, privileged := a.attack(t); privileged {
		t.Errorf("what was replaced or removed has its privileges:\n%s", output)
	}
}

// wantPrivileged wants programs that a user may run with privileges now.
func wantPrivileged(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if output, privileged := hold(t, path).attack(t); !privileged {
			t.Errorf("%s has no privileges:\n%s", path, output)
		}
	}
}

// program is the helper's path in the staging.
func (s *staging) program() string { return filepath.Join(s.dir, "usr/bin/fusermount3") }

// linked makes a hard link to a program elsewhere, as users may where
// fs.protected_hardlinks is 0.
func (s *staging) linked(t *testing.T, program string) (link string) {
	t.Helper()
	dir, err := os.MkdirTemp(filepath.Dir(s.dir), "links")
	link = filepath.Join(dir, "link")
	if err := errors.Join(err, os.Chmod(dir, 0o755), os.Link(program, link)); err != nil {
		t.Fatal(err)
	}
	return link
}

// setuid puts a set-uid program into the staging.
func (s *staging) setuid(t *testing.T, name string) (path string) {
	t.Helper()
	text, err := os.ReadFile(holder)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, name, string(text))
	path = filepath.Join(s.dir, name)
	if err := os.Chmod(path, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	return path
}

// Users may have a descriptor of a program or a hard link to it when it is replaced or
// removed. It must give them no privileges then (CVE-2010-2059).
func TestHeld(t *testing.T) {
	for _, mode := range []string{"MODE=setuid", "MODE=caps"} {
		for _, action := range []string{"install", "uninstall"} {
			t.Run(mode+" "+action, func(t *testing.T) {
				fusetest.NeedRoot(t)
				s := newStaging(t)
				s.run(t, "install", mode)
				link := s.linked(t, s.program())
				wantPrivileged(t, s.program(), link) // otherwise the test shows nothing
				a := hold(t, s.program(), link)
				s.run(t, action, mode)
				a.wantNothing(t)
				wantNoCapability(t, link)
				if action == "install" {
					wantPrivileged(t, s.program())
				}
			})
		}
	}
}

func wantNoCapability(t *testing.T, path string) {
	t.Helper()
	if _, err := unix.Lgetxattr(path, "security.capability", nil); !errors.Is(err, unix.ENODATA) {
		t.Errorf("%s has a capability (%v)", path, err)
	}
}

// The same for a program by the older name, such as another project's, which the link
// replaces.
func TestHeldOlderName(t *testing.T) {
	fusetest.NeedRoot(t)
	s := newStaging(t)
	older := s.setuid(t, "usr/bin/fusermount")
	a := hold(t, older, s.linked(t, older))
	s.run(t, "install", "MODE=setuid")
	s.want(t, installed)
	a.wantNothing(t)
}

// Uninstall removes the link by the older name, and no program.
func TestUninstallKeepsOlderName(t *testing.T) {
	fusetest.NeedRoot(t)
	s := newStaging(t)
	s.run(t, "install", "MODE=setuid")
	if err := os.Remove(filepath.Join(s.dir, "usr/bin/fusermount")); err != nil {
		t.Fatal(err)
	}
	older := s.setuid(t, "usr/bin/fusermount")
	s.run(t, "uninstall", "MODE=setuid")
	s.want(t, map[string]string{"usr/bin/fusermount": "4755"})
	wantPrivileged(t, older)
}

// The next installation removes what a killed one has left.
func TestHeldAfterKill(t *testing.T) {
	for _, action := range []string{"install", "uninstall"} {
		t.Run(action, func(t *testing.T) {
			fusetest.NeedRoot(t)
			s := newStaging(t)
			s.run(t, "install", "MODE=setuid")
			a := hold(t, s.setuid(t, "usr/bin/.fusermount3.new"), s.setuid(t, "usr/bin/.fusermount3.old"))
			s.run(t, action, "MODE=setuid")
			a.wantNothing(t)
			if action == "install" {
				s.want(t, installed)
			} else {
				s.want(t, map[string]string{})
			}
		})
	}
}

// The second name may be that of the helper in place, which must not lose its
// privileges if the next installation fails.
func TestKilledBeforeReplacing(t *testing.T) {
	fusetest.NeedRoot(t)
	s := newStaging(t)
	s.run(t, "install", "MODE=setuid")
	if err := os.Link(s.program(), filepath.Join(s.dir, "usr/bin/.fusermount3.old")); err != nil {
		t.Fatal(err)
	}
	s.fails(t, "install", "no file was replaced", tool{"mv", "exit 1"})
	s.want(t, installed)
	wantPrivileged(t, s.program())
}

// tool is a program in PATH that the test replaces by a script.
type tool struct{ name, script string }

// path makes a PATH with these tools first.
func (s *staging) path(t *testing.T, tools ...tool) (variable string) {
	t.Helper()
	dir, err := os.MkdirTemp(filepath.Dir(s.dir), "path")
	if err := errors.Join(err, os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, tool := range tools {
		text := "#!/bin/sh\n" + tool.script + "\n"
		if err := os.WriteFile(filepath.Join(dir, tool.name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return "PATH=" + dir + ":" + os.Getenv("PATH") + ":/usr/sbin:/sbin"
}

// fails runs the script with tools that fail, and wants this text.
func (s *staging) fails(t *testing.T, action, want string, tools ...tool) {
	t.Helper()
	out, err := s.command(action, "MODE=setuid", s.path(t, tools...)).CombinedOutput()
	if err == nil || !strings.Contains(string(out), want) {
		t.Errorf("%s with %v: %v, and it says %q; want %q", action, tools, err, out, want)
	}
}
