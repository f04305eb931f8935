package packages

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// An installation that fails half way leaves the old helper in place, and reports that.
func TestInstallFails(t *testing.T) {
	for _, tool := range []tool{
		{"install", "exit 1"},
		{"chmod", "exit 1"},
		{"mv", "exit 1"},
		{"mv", "kill -TERM $PPID; exit 1"},
		{"mv", "kill -HUP $PPID; exit 1"},
	} {
		t.Run(tool.name+" "+tool.script, func(t *testing.T) {
			fusetest.NeedRoot(t)
			s := newStaging(t)
			s.run(t, "install", "MODE=setuid")
			s.fails(t, "install", "stopped by an error: no file was replaced", tool)
			wantPrivileged(t, s.program())
			if tool.name != "chmod" { // which is needed to clean up as well
				s.want(t, installed)
			}
			s.run(t, "install", "MODE=setuid")
			s.want(t, installed)
		})
	}
}

// On a file system without hard links, the old helper loses its privileges before it is
// replaced.
func TestHeldWithoutLinks(t *testing.T) {
	fusetest.NeedRoot(t)
	s := newStaging(t)
	s.run(t, "install", "MODE=setuid")
	ln, err := exec.LookPath("ln")
	if err != nil {
		t.Fatal(err)
	}
	a := hold(t, s.program())
	s.run(t, "install", "MODE=setuid", s.path(t, tool{"ln", `case $1 in -s*) exec ` + ln + ` "$@" ;; *) exit 1 ;; esac`}))
	a.wantNothing(t)
	s.want(t, installed)
	wantPrivileged(t, s.program())
}

// An old helper whose privileges cannot be removed is reported, and stays in place.
func TestInstallCannotDisarm(t *testing.T) {
	fusetest.NeedRoot(t)
	s := newStaging(t)
	s.run(t, "install", "MODE=setuid")
	a := hold(t, s.program())
	chmod, err := exec.LookPath("chmod")
	if err != nil {
		t.Fatal(err)
	}
	s.fails(t, "install", "users may still hold the old one", tool{"chmod", `case $1 in 0600) exit 1 ;; esac; exec ` + chmod + ` "$@"`})
	wantPrivileged(t, s.program(), filepath.Join(s.dir, "usr/bin/.fusermount3.old"))
	s.run(t, "install", "MODE=setuid")
	a.wantNothing(t)
	s.want(t, installed)
}

func TestUninstallCannotDisarm(t *testing.T) {
	fusetest.NeedRoot(t)
	s := newStaging(t)
	s.run(t, "install", "MODE=setuid")
	s.fails(t, "uninstall", "no file was removed", tool{"chmod", "exit 1"})
	s.want(t, installed)
	wantPrivileged(t, s.program())
}

// The same on full and read-only file systems.
func TestInstallFull(t *testing.T) {
	s := newStaging(t)
	s.mountTmpfs(t)
	s.run(t, "install", "MODE=setuid")
	s.fails(t, "install", "stopped by an error: no file was replaced")
	s.want(t, installed)
	wantPrivileged(t, s.program())
}

func TestInstallReadOnly(t *testing.T) {
	s := newStaging(t)
	s.mountTmpfs(t)
	s.run(t, "install", "MODE=setuid")
	if err := unix.Mount("", s.dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	s.fails(t, "install", "stopped by an error: no file was replaced")
	s.fails(t, "uninstall", "stopped by an error: no file was removed")
	s.want(t, installed)
	wantPrivileged(t, s.program())
}

// mountTmpfs mounts a file system on the staging with room for one helper, not two.
func (s *staging) mountTmpfs(t *testing.T) {
	t.Helper()
	fusetest.NeedRoot(t)
	info, err := os.Stat(holder)
	if err != nil {
		t.Fatal(err)
	}
	size := fmt.Sprintf("mode=0755,size=%d", info.Size()*3/2)
	if err := unix.Mount("fusetest", s.dir, "tmpfs", 0, size); err != nil {
		t.Fatal(err)
	}
}

// While the helper is replaced, users always have one with its privileges. The test checks
// that before each program that the script runs.
func TestInstallWithoutGap(t *testing.T) {
	fusetest.NeedRoot(t)
	s := newStaging(t)
	s.run(t, "install", "MODE=setuid")
	log := filepath.Join(filepath.Dir(s.dir), "log")
	var tools []tool
	for _, name := range []string{"rm", "mv", "ln", "chmod", "chown", "install"} {
		program, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		look := fmt.Sprintf(`[ -u %s ] && echo there >>%[2]s || echo "gone before %s $*" >>%[2]s`, s.program(), log, name)
		tools = append(tools, tool{name, look + "\nexec " + program + ` "$@"`})
	}
	s.run(t, "install", "MODE=setuid", s.path(t, tools...))
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "gone") || strings.Count(string(text), "there") < 10 {
		t.Errorf("the helper was\n%s", text)
	}
	s.want(t, installed)
}

// A directory at the helper's path is not replaced.
func TestInstallOverDirectory(t *testing.T) {
	s := newStaging(t)
	if err := os.MkdirAll(s.program(), 0o755); err != nil {
		t.Fatal(err)
	}
	s.refuse(t, "usr/bin/fusermount3 is a directory", "install", "MODE=setuid")
}
