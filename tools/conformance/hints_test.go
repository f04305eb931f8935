package conformance

import (
	"encoding/json"
	"fmt"
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

// What took the set-uid bit's effect away is named.
func TestNoRightsAtExec(t *testing.T) {
	call, mountpoint := asUser(t)
	wantMounted(t, run(t, call), mountpoint)
	t.Run("traced", func(t *testing.T) {
		traced := call
		traced.Prog, traced.Args = newTracer(t).program, []string{"-f", "-o", "/dev/null", call.Prog, "-u", mountpoint}
		traced.Socket = helpertest.NoSocket
		wantHint(t, run(t, traced), "traced by strace (pid ")
	})
	t.Run("CLONE_FS", func(t *testing.T) {
		dir, err := os.Getwd() // the child shares it, and the umask
		must(t, err)
		mask := unix.Umask(0o022)
		defer func() {
			unix.Umask(mask)
			must(t, os.Chdir(dir))
		}()
		cmd := exec.Command(call.Prog, "-u", mountpoint)
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_FS, Credential: &syscall.Credential{Uid: alice, Gid: alice},
		}
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "hint: the setuid bit had no effect: ") || strings.Contains(string(out), "owner") {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("bounding set", func(t *testing.T) {
		bounded := call
		bounded.Socket, bounded.Args = helpertest.NoSocket, []string{"-u", mountpoint}
		bounded.DropCaps = []int{unix.CAP_SYS_ADMIN}
		wantHint(t, run(t, bounded), "the capability bounding set lacks CAP_SYS_ADMIN")
	})
	unmount(t, call, mountpoint)
}

// Where the mount is not in the table of this process, the hint says no more than is
// known.
func TestNotInThisTable(t *testing.T) {
	call, mountpoint := asUser(t)
	wantMounted(t, run(t, call), mountpoint)
	pid := holder(t, 0, "exec unshare -m --propagation private sh -c 'echo there && read -r x'")
	call.KeepRoot = true
	r := look(t, call, "-u", fmt.Sprintf("/proc/%d/root%s", pid, mountpoint))
	wantHint(t, r, "in another mount namespace")
	unmount(t, call, mountpoint)
}

// A working directory in a mount that is detached already.
func TestDetachedWorkingDirectory(t *testing.T) {
	call, mountpoint := asUser(t)
	serveOn(t, call, mountpoint, "")
	dir, err := os.Open("/")
	must(t, err)
	defer dir.Close()
	pid := holder(t, alice, "cd "+mountpoint)
	lazy := call
	lazy.Socket, lazy.Args = helpertest.NoSocket, []string{"-uz", mountpoint}
	if r := run(t, lazy); r.Exit != 0 {
		t.Fatalf("%+v", r)
	}
	for _, path := range []string{".", "hello", "./sub/.."} {
		inside := call
		inside.Socket, inside.Dir = helpertest.NoSocket, fmt.Sprintf("/proc/%d/cwd", pid)
		inside.Args = []string{"-u", path}
		r := run(t, inside)
		if r.Exit != 1 {
			t.Errorf("%s: exit %d, %q", path, r.Exit, r.Stderr)
		}
		wantHint(t, r, "your working directory lies in a mount that is already detached")
	}
}

// -u of what is not the mountpoint names the mountpoint, as a command.
func TestUnmountBesides(t *testing.T) {
	call, _ := asUser(t)
	mountpoint := filepath.Join(fusetest.Dir(t, alice), "with blank")
	must(t, os.Mkdir(mountpoint, 0o755), os.Chown(mountpoint, alice, alice))
	serveOn(t, call, mountpoint, "")
	link := filepath.Join(filepath.Dir(mountpoint), "link")
	must(t, os.Symlink(mountpoint, link))
	for _, path := range []string{mountpoint + "/hello", link} {
		r := look(t, call, "-u", path)
		if r.Exit != 1 || !strings.Contains(r.Stderr, "entry for "+path+" not found in /etc/mtab") {
			t.Errorf("exit %d, %q", r.Exit, r.Stderr)
		}
		wantHint(t, r, "fusermount3 -u '"+mountpoint+"'")
	}
}

// Hints name commands. Followed literally, by root where the hint says so, they lead to what
// was wanted. A command begins after the last colon of its hint.
func TestHintsFollowed(t *testing.T) {
	t.Setenv("LC_ALL", "C")
	for name, prepare := range map[string]func(t *testing.T, call *helpertest.Call, mountpoint string) (args []string){
		"a dead mount": func(t *testing.T, call *helpertest.Call, mountpoint string) []string {
			must(t, serveOn(t, *call, mountpoint, "").Close())
			return []string{mountpoint}
		},
		"a file inside": func(t *testing.T, call *helpertest.Call, mountpoint string) []string {
			serveOn(t, *call, mountpoint, "")
			return []string{"-u", mountpoint + "/hello"}
		},
		"a link": func(t *testing.T, call *helpertest.Call, mountpoint string) []string {
			serveOn(t, *call, mountpoint, "")
			link := filepath.Join(fusetest.Dir(t, alice), "a link")
			must(t, os.Symlink(mountpoint, link))
			return []string{"-u", link}
		},
		"no bit": func(t *testing.T, call *helpertest.Call, mountpoint string) []string {
			must(t, os.Chmod(call.Prog, 0o755))
			return []string{mountpoint}
		},
		"another file in the device's place": func(t *testing.T, call *helpertest.Call, mountpoint string) []string {
			dev := fusetest.Dir(t, 0)
			must(t, unix.Mknod(filepath.Join(dev, "fuse"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
			must(t, os.Chmod(filepath.Join(dev, "fuse"), 0o666))
			withDev(t, dev)
			return []string{mountpoint}
		},
	} {
		t.Run(name, func(t *testing.T) {
			call, _ := asUser(t)
			program := fusetest.InstallHelper(t, helperProgram(t), fusetest.Setuid)
			call.Prog = program
			mountpoint := filepath.Join(fusetest.Dir(t, alice), "it's")
			must(t, os.Mkdir(mountpoint, 0o755), os.Chown(mountpoint, alice, alice))
			call.Args = prepare(t, &call, mountpoint)
			r := run(t, call)
			_, hint, found := strings.Cut(r.Stderr, ": hint: ")
			if r.Exit != 1 || !found {
				t.Fatalf("exit %d, %q", r.Exit, r.Stderr)
			}
			command := strings.TrimSpace(hint[strings.LastIndex(hint, ": ")+1:])
			sh := exec.Command("/bin/sh", "-ec", command)
			sh.Env = []string{"PATH=" + filepath.Dir(program) + ":/usr/sbin:/usr/bin:/sbin:/bin"}
			if !strings.Contains(hint, "as root: ") {
				sh.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: alice, Gid: alice}}
			}
			if out, err := sh.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v: %s", command, err, out)
			}
			if call.Args[0] == "-u" {
				wantNothing(t, mountpoint)
				return
			}
			wantMounted(t, run(t, call), mountpoint)
			unmount(t, call, mountpoint)
		})
	}
}

// withDev puts a directory in the place of /dev.
func withDev(t *testing.T, dir string) {
	t.Helper()
	must(t, unix.Mknod(filepath.Join(dir, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	must(t, os.Chmod(filepath.Join(dir, "null"), 0o666), unix.Mount(dir, "/dev", "", unix.MS_BIND, ""))
	t.Cleanup(func() { must(t, unix.Unmount("/dev", unix.MNT_DETACH)) })
}

// What fusectl check names as the next step is followed in the same way, and the finding is
// gone.
func TestNextStepsFollowed(t *testing.T) {
	for name, c := range map[string]struct {
		subject string
		prepare func(t *testing.T, call *helpertest.Call, mountpoint string)
	}{
		"a dead mount": {"mountpoint", func(t *testing.T, call *helpertest.Call, mountpoint string) {
			must(t, serveOn(t, *call, mountpoint, "").Close())
		}},
		"no bit": {"program", func(t *testing.T, call *helpertest.Call, _ string) {
			must(t, os.Chmod(call.Prog, 0o755))
		}},
		"no fusectl": {"fusectl", func(*testing.T, *helpertest.Call, string) {}},
		"fuse.conf of alice": {"fuse.conf", func(t *testing.T, _ *helpertest.Call, _ string) {
			writeFile(t, "/etc/fuse.conf", "user_allow_other\n")
			t.Cleanup(func() { _ = os.Remove("/etc/fuse.conf") })
			must(t, os.Chown("/etc/fuse.conf", alice, alice))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			call, _ := asUser(t)
			call.Prog = fusetest.InstallHelper(t, helperProgram(t), fusetest.Setuid)
			mountpoint := filepath.Join(fusetest.Dir(t, alice), "it's")
			must(t, os.Mkdir(mountpoint, 0o755), os.Chown(mountpoint, alice, alice))
			if c.subject != "fusectl" {
				fusetest.Control(t)
			}
			c.prepare(t, &call, mountpoint)
			next := nextStep(t, call, mountpoint, c.subject)
			if next == "" {
				t.Fatal("no next step")
			}
			command, asRoot := strings.CutPrefix(next, "as root: ")
			command, _, _ = strings.Cut(command, ", or ")
			sh := exec.Command("/bin/sh", "-ec", command)
			sh.Env = []string{"PATH=" + filepath.Dir(call.Prog) + ":/usr/sbin:/usr/bin:/sbin:/bin"}
			if !asRoot {
				sh.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: alice, Gid: alice}}
			}
			if out, err := sh.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v: %s", command, err, out)
			}
			if c.subject == "fusectl" {
				t.Cleanup(func() { must(t, unix.Unmount(fusetest.ControlPath, unix.MNT_DETACH)) })
			}
			if next := nextStep(t, call, mountpoint, c.subject); next != "" {
				t.Errorf("after %s: %s", command, next)
			}
		})
	}
}

// nextStep is what check says about a subject, empty if all is well.
func nextStep(t *testing.T, call helpertest.Call, mountpoint, subject string) string {
	t.Helper()
	var checked struct {
		Findings []struct {
			Subject string
			Next    *string
		}
	}
	must(t, json.Unmarshal([]byte(ctl(t, call, "check", "--json", mountpoint).Stdout), &checked))
	for _, f := range checked.Findings {
		if f.Subject == subject && f.Next != nil {
			return *f.Next
		}
	}
	return ""
}
