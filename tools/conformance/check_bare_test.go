package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
	"github.com/go-fusermount/fusermount/internal/mtab"
)

// Without /proc check says what is unknown, and nothing that is untrue.
func TestCheckWithoutProc(t *testing.T) {
	call, _ := asUser(t)
	top, err := os.Open("/")
	must(t, err)
	defer top.Close()
	if e, _, err := mtab.ByFD(int(top.Fd())); err != nil || !e.Unique || e.Source == "" {
		fusetest.Skip(t, "run a kernel with a statmount that tells names (Linux 6.13)")
	}
	root := chroot(t, map[string]string{
		"fusermount3": call.Prog, "dev/fuse": "/dev/fuse", "fusectl": fusetest.InstallHelper(t, fusectlProgram(t), fusetest.Plain),
	})
	for _, name := range []string{"free", "taken"} {
		m := filepath.Join(root, name)
		must(t, os.Mkdir(m, 0o755), os.Chown(m, alice, alice))
	}
	taken := filepath.Join(root, "taken")
	serveOn(t, call, taken, "")
	bindInside(t, taken+"/hello")
	check := func(uid int, path string) []string {
		c := helpertest.Call{Prog: "/usr/bin/nsenter", KeepRoot: true, Env: []string{"FUSERMOUNT_PROG=/fusermount3"}}
		args := []string{"--root=" + root, "--wd=" + root, "/fusectl", "check", path}
		if uid != 0 {
			args = append([]string{"-S", fmt.Sprint(uid), "-G", fmt.Sprint(uid)}, args...)
		}
		r := look(t, c, args...)
		if r.Stderr != "" {
			t.Errorf("exit %d, %q", r.Exit, r.Stderr)
		}
		lines := singleBlanks(r.Stdout)
		return lines[:max(len(lines)-1, 0)]
	}
	for _, path := range []string{"free", "./free/.", "/free"} {
		lines := check(alice, path)
		wantFinding(t, lines, "ok mountpoint "+path+" can be mounted over", "")
		wantFinding(t, lines, "unknown privilege whether this program is traced: /proc/self/status: No such file or directory", "")
		wantFinding(t, lines, "unknown namespace whether you are in a user namespace: /proc/self/ns/user: ", "")
		wantFinding(t, lines, "ok module", "the kernel has FUSE")
		wantOnly(t, lines, "unknown privilege", "unknown namespace")
	}
	wantFinding(t, check(alice, "taken"), "ok mountpoint /taken is a mount of type fuse", "used by the mount /taken/hello")
	lines := check(0, "free")
	wantFinding(t, lines, "ok privilege you have CAP_SYS_ADMIN", "")
	wantFinding(t, lines, "note fusectl", "")
	wantOnly(t, lines, "unknown namespace")
}

// The list of file systems may be empty, as in a sandbox: the device says more.
func TestCheckWithoutFilesystems(t *testing.T) {
	call, _ := asUser(t)
	privateDev(t)
	empty := filepath.Join(fusetest.Dir(t, 0), "empty")
	writeFile(t, empty, "")
	must(t, unix.Mount(empty, "/proc/filesystems", "", unix.MS_BIND, ""))
	t.Cleanup(func() { must(t, unix.Unmount("/proc/filesystems", unix.MNT_DETACH)) })
	makeNode(t, "/dev/fuse", fuseMajor, fuseMinor, 0o666)
	lines := findings(t, call)
	wantFinding(t, lines, "ok module the kernel has FUSE", "")
	wantOnly(t, lines)
	chmod(t, "/dev/fuse", 0o600)
	lines = findings(t, call)
	wantFinding(t, lines, "unknown module whether the kernel has FUSE: /proc/filesystems is empty", "")
	wantOnly(t, lines, "fail device", "unknown module")
}

// Both limits of processes are found, and named.
func TestCheckProcesses(t *testing.T) {
	call, _ := asUser(t)
	call.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "FUSERMOUNT_PROG=" + call.Prog}
	call.Prog = fusetest.InstallHelper(t, fusectlProgram(t), fusetest.Plain)
	wantLimit := func(t *testing.T, r helpertest.Result, limit string) {
		t.Helper()
		wantFinding(t, singleBlanks(r.Stdout), "warn processes ", "more processes and threads may run here ("+limit+") -> fusermount3 needs 3, sometimes 4, and keeps them")
		if r.Exit != 0 {
			t.Errorf("exit %d, %s%s", r.Exit, r.Stdout, r.Stderr)
		}
	}
	t.Run("RLIMIT_NPROC", func(t *testing.T) {
		call := call
		call.UID, call.GID = 4999, 4999 // nobody else's: processes of other tests would count
		call.Rlimits = []helpertest.Rlimit{{Resource: unix.RLIMIT_NPROC, Value: 9}}
		wantLimit(t, look(t, call, "check"), "RLIMIT_NPROC, ulimit -u")
	})
	t.Run("cgroup", func(t *testing.T) {
		call, program := call, call.Prog
		group := pidsCgroup(t)
		call.Prog, call.KeepRoot = "/bin/sh", true
		script := fmt.Sprintf(`echo $$ >"$2/cgroup.procs" && echo 9 >"$2/pids.max" && exec setpriv --reuid %d --regid %[1]d --clear-groups "$1" check`, alice)
		wantLimit(t, look(t, call, "-c", script, "sh", program, group), group+"/pids.max")
	})
}

// From a working directory in a mount that is detached already there is no way to a relative
// path; what is mounted at / has nothing to do with it.
func TestCheckDetachedWorkingDirectory(t *testing.T) {
	call, mountpoint := asUser(t)
	serveOn(t, call, mountpoint, "")
	pid := holder(t, alice, "cd "+mountpoint)
	lazy := call
	lazy.Socket, lazy.Args = helpertest.NoSocket, []string{"-uz", mountpoint}
	if r := run(t, lazy); r.Exit != 0 {
		t.Fatalf("%+v", r)
	}
	const text = "your working directory lies in a mount that is already detached, or outside of the root directory"
	for _, path := range []string{".", "hello", "../x"} {
		inside := call
		inside.Env = []string{"FUSERMOUNT_PROG=" + call.Prog}
		inside.Prog, inside.Socket = fusetest.InstallHelper(t, fusectlProgram(t), fusetest.Plain), helpertest.NoSocket
		inside.Dir = fmt.Sprintf("/proc/%d/cwd", pid)
		for _, command := range []string{"check", "list", "abort"} {
			inside.Args = []string{command, path}
			r := run(t, inside)
			if command == "check" {
				wantFinding(t, singleBlanks(r.Stdout), "fail mountpoint "+text+" -> leave it ('cd /')", "")
			} else if r.Stderr != "fusectl: "+text+": leave it ('cd /')\n" {
				t.Errorf("%s %s: %q", command, path, r.Stderr)
			}
			if r.Exit != 1 {
				t.Errorf("%s %s: exit %d", command, path, r.Exit)
			}
		}
	}
}
