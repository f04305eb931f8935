package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// findings gives what check prints, a line for each finding, with single blanks.
// Both forms have to say the same.
func findings(t *testing.T, call helpertest.Call, args ...string) []string {
	t.Helper()
	r := ctl(t, call, append([]string{"check"}, args...)...)
	if r.Stderr != "" {
		t.Fatalf("exit %d: %s", r.Exit, r.Stderr)
	}
	lines := singleBlanks(r.Stdout)
	closing := lines[len(lines)-1]
	lines = lines[:len(lines)-1]
	failed := slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "fail ") })
	if failed != (r.Exit == 1) || r.Exit > 1 {
		t.Errorf("exit %d: %s", r.Exit, r.Stdout)
	}
	var document struct {
		Version  int
		OK       bool
		Summary  string
		Findings []struct {
			Level, Subject, Text string
			Next                 *string
		}
	}
	r = ctl(t, call, append([]string{"check", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(r.Stdout), &document); err != nil || document.Version != 1 || document.OK == failed || document.Summary != closing || (r.Exit == 1) != failed {
		t.Fatalf("exit %d, %v: %s", r.Exit, err, r.Stdout)
	}
	for i, f := range document.Findings {
		line := f.Level + " " + f.Subject + " " + f.Text
		if f.Next != nil {
			line += " -> " + *f.Next
		}
		if i >= len(lines) || strings.Join(strings.Fields(line), " ") != lines[i] {
			t.Errorf("JSON says %q, and the text %q", line, lines)
		}
	}
	return lines
}

func singleBlanks(text string) (lines []string) {
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return lines
}

// wantFinding wants a line that begins in one way and has more words somewhere.
func wantFinding(t *testing.T, lines []string, begin, has string) {
	t.Helper()
	for _, line := range lines {
		if strings.HasPrefix(line, begin) && strings.Contains(line, has) {
			return
		}
	}
	t.Errorf("no %q with %q in\n%s", begin, has, strings.Join(lines, "\n"))
}

// wantOnly wants these subjects, and no others, not to be ok.
func wantOnly(t *testing.T, lines []string, bad ...string) {
	t.Helper()
	var got []string
	for _, line := range lines {
		level, rest, _ := strings.Cut(line, " ")
		if subject, _, _ := strings.Cut(rest, " "); level != "ok" && level != "note" && subject != "fusectl" {
			got = append(got, level+" "+subject)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(bad) {
		t.Errorf("%q, want %q:\n%s", got, bad, strings.Join(lines, "\n"))
	}
}

func TestCheckAllWell(t *testing.T) {
	call, mountpoint := asUser(t)
	lines := findings(t, call, mountpoint)
	wantOnly(t, lines)
	wantFinding(t, lines, "ok mountpoint "+mountpoint, "a directory on tmpfs that you may write to")
	wantFinding(t, lines, "ok mount_max", "0 FUSE file systems are mounted, and 1000 may be")
	wantFinding(t, lines, "ok kernel", "new mount calls (fsopen)")
	call.Prog = fusetest.InstallHelper(t, helperProgram(t), fusetest.Setcap)
	lines = findings(t, call, mountpoint)
	wantOnly(t, lines)
	wantFinding(t, lines, "ok program", "has the file capability")
}

// Each way in which the program can lack its privilege is named.
func TestCheckPrivilege(t *testing.T) {
	call, _ := asUser(t)
	plain := fusetest.InstallHelper(t, helperProgram(t), fusetest.Plain)
	for name, c := range map[string]struct {
		change func(*helpertest.Call)
		begin  string
		has    string
		bad    []string
	}{
		"no setuid bit": {
			func(c *helpertest.Call) { c.Prog = plain },
			"fail program " + plain, "neither set-user-ID nor has the file capability CAP_SYS_ADMIN -> as root: chown root",
			[]string{"fail program"},
		},
		"not root's": {
			func(c *helpertest.Call) { c.Prog = ownedBy(t, c.Prog, bob) },
			"fail program", "is set-user-ID, but its owner is user 4343",
			[]string{"fail program"},
		},
		"no_new_privs": {
			func(c *helpertest.Call) { c.NoNewPrivs = true },
			"fail privilege no_new_privs is set", "->",
			[]string{"fail privilege"},
		},
		"nosuid": {
			func(c *helpertest.Call) { c.Prog = onNosuid(t, c.Prog) },
			"fail program", "lies on a file system that is mounted nosuid, which takes its rights away -> install it elsewhere, or as root: mount -o remount,suid /",
			[]string{"fail program"},
		},
		"bounding set": {
			func(c *helpertest.Call) { c.DropCaps = []int{unix.CAP_SYS_ADMIN} },
			"fail privilege the capability bounding set lacks CAP_SYS_ADMIN", "start the container with it",
			[]string{"fail privilege"},
		},
		"a sandbox that refuses": {
			func(c *helpertest.Call) { c.Deny = helpertest.Deny(unix.EPERM, "fsconfig", "statmount") },
			"ok kernel", "new mount calls (fsopen): forbidden, statmount: forbidden",
			[]string{"warn seccomp"},
		},
		"an old kernel": {
			func(c *helpertest.Call) { c.Deny = helpertest.Deny(unix.ENOSYS, "fsconfig", "statmount", "listmount") },
			"ok kernel", "new mount calls (fsopen): no, statmount: no",
			[]string{"warn seccomp"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			call := call
			c.change(&call)
			lines := findings(t, call)
			wantFinding(t, lines, c.begin, c.has)
			wantOnly(t, lines, c.bad...)
		})
	}
}

// ownedBy makes a copy of a program that has the setuid bit of another user.
func ownedBy(t *testing.T, program string, uid int) string {
	t.Helper()
	dir := fusetest.Dir(t, 0)
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "fusermount3")
	if err := os.WriteFile(path, text, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, uid, uid); err != nil {
		t.Fatal(err)
	}
	chmod(t, path, 0o755|os.ModeSetuid)
	return path
}

func TestCheckDevice(t *testing.T) {
	for name, c := range map[string]struct {
		device     func(t *testing.T)
		begin, has string
	}{
		"absent": {func(*testing.T) {}, "fail device " + absentDevice, "-> the kernel has FUSE, but this environment lacks the device"},
		"closed": {func(t *testing.T) {
			makeNode(t, "/dev/fuse", fuseMajor, fuseMinor, 0o600)
		}, "fail device failed to open /dev/fuse: Permission denied", "-> /dev/fuse is closed to you"},
		"another": {func(t *testing.T) {
			makeNode(t, "/dev/fuse", 1, 3, 0o666)
		}, "fail device /dev/fuse is not the fuse device", "mknod"},
	} {
		t.Run(name, func(t *testing.T) {
			call, mountpoint := asUser(t)
			privateDev(t)
			c.device(t)
			lines := findings(t, call, mountpoint)
			wantFinding(t, lines, c.begin, c.has)
			wantFinding(t, lines, "ok module", "the kernel has FUSE")
			wantFinding(t, lines, "ok kernel", "sync-init: unknown")
			wantOnly(t, lines, "fail device")
		})
	}
}

func TestCheckConf(t *testing.T) {
	call, _ := asUser(t)
	t.Cleanup(func() { _ = os.Remove("/etc/fuse.conf") })
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		want []string
		bad  []string
	}{
		"comments alone": {
			"# x\n#user_allow_other\n", 0o644,
			[]string{"ok fuse.conf /etc/fuse.conf sets nothing", "note allow_other not for you: a mount with allow_other or allow_root is refused -> the administrator can take the # off line 2"},
			nil,
		},
		"settings": {
			"mount_max = 7\n\nuser_allow_other\n", 0o644,
			[]string{"ok fuse.conf line 1: mount_max = 7; line 3: user_allow_other", "ok allow_other you may", "ok mount_max 0 FUSE file systems are mounted, and 7 may be"},
			nil,
		},
		"slips": {
			"user_allow_others\nmount_max = 08\n", 0o644,
			[]string{"warn fuse.conf line 1: user_allow_others; line 2: mount_max = 08 -> line 1: unknown parameter"},
			[]string{"warn fuse.conf"},
		},
		"writable for others": {
			"user_allow_other\n", 0o666,
			[]string{"warn fuse.conf /etc/fuse.conf ignored: it is writable for others than root; the defaults hold -> as root: chown root", "note allow_other not for you: a mount with allow_other or allow_root is refused -> the administrator can make /etc/fuse.conf owned by root"},
			[]string{"warn fuse.conf"},
		},
		"closed": {
			"user_allow_other\n", 0o600,
			[]string{"warn fuse.conf failed to open /etc/fuse.conf: Permission denied; the defaults hold -> as root: chmod 0644 /etc/fuse.conf", "note allow_other not for you: a mount with allow_other or allow_root is refused -> the administrator can make /etc/fuse.conf readable"},
			[]string{"warn fuse.conf"},
		},
		"a control character": {
			"\x1b[2J\n", 0o644, []string{`warn fuse.conf line 1: \033[2J`}, []string{"warn fuse.conf"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			writeFile(t, "/etc/fuse.conf", c.text)
			chmod(t, "/etc/fuse.conf", c.mode)
			if strings.Contains(c.text, "\x1b") {
				r := ctl(t, call, "check")
				if !strings.Contains(r.Stdout, `line 1: \033[2J -> `) || strings.Contains(r.Stdout, "\x1b") {
					t.Errorf("%q", r.Stdout)
				}
				return
			}
			lines := findings(t, call)
			for _, want := range c.want {
				wantFinding(t, lines, want, "")
			}
			wantOnly(t, lines, c.bad...)
		})
	}
}

func TestCheckMountMax(t *testing.T) {
	call, mountpoint := asUser(t)
	writeFile(t, "/etc/fuse.conf", "mount_max = 2\n")
	t.Cleanup(func() { _ = os.Remove("/etc/fuse.conf") })
	serveMount(t, call, "ro")
	wantOnly(t, findings(t, call))
	serveMount(t, call, "ro")
	lines := findings(t, call, mountpoint)
	wantFinding(t, lines, "fail mount_max 2 FUSE file systems are mounted, and 2 may be", "->")
	wantOnly(t, lines, "fail mount_max")
	call.Args = []string{mountpoint}
	wantRefusal(t, run(t, call), mountpoint, tooMany)
	call.KeepRoot = true
	wantOnly(t, findings(t, call))
}
