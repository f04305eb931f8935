package conformance

import (
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

// In a user namespace the host's fuse.conf has an owner without a number.
func TestConfOfHost(t *testing.T) {
	fusetest.NeedRoot(t)
	fusetest.NeedDevice(t)
	for _, c := range []struct {
		name  string
		uid   int
		mode  os.FileMode
		works bool
	}{
		{"unmapped", 0, 0o644, true},
		{"unmapped, writable by its group", 0, 0o664, false},
		{"unmapped, writable by others", 0, 0o646, false},
		{"another user's", bob, 0o644, false},
		{"the namespace's root's", alice, 0o644, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			writeFile(t, "/etc/fuse.conf", "user_allow_other\n")
			t.Cleanup(func() { _ = os.Remove("/etc/fuse.conf") })
			must(t, os.Chmod("/etc/fuse.conf", c.mode), os.Chown("/etc/fuse.conf", c.uid, c.uid))
			mountpoint := fusetest.Dir(t, bob)
			pid := namespaceOf(t, alice, bob)
			program := fusetest.InstallHelper(t, helperProgram(t), fusetest.Setuid)
			must(t, os.Chown(program, alice, alice), os.Chmod(program, 0o755|os.ModeSetuid))
			inside := helpertest.Call{
				Prog: "/usr/bin/nsenter", KeepRoot: true, Dir: "/", Env: []string{"PATH=/usr/bin:/bin"},
				Args: []string{fmt.Sprintf("--user=/proc/%d/ns/user", pid), fmt.Sprintf("--mount=/proc/%d/ns/mnt", pid), "-S", "7", "-G", "7", program, "-o", "allow_other", mountpoint},
			}
			inside.Env = append(inside.Env, "_FUSE_COMMFD=3")
			r := run(t, inside)
			if (r.Exit == 0) != c.works || c.works != (r.NFDs == 1) {
				t.Errorf("exit %d, %q", r.Exit, r.Stderr)
			}
		})
	}
}

// namespaceOf starts a process in user and mount namespaces of a user's, in which that
// user is root and another one has the number 7.
func namespaceOf(t *testing.T, root, user int) (pid int) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", "read -r x")
	stdin, err := cmd.StdinPipe()
	must(t, err)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: root, Size: 1}, {ContainerID: 7, HostID: user, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: root, Size: 1}, {ContainerID: 7, HostID: user, Size: 1}},
	}
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait() // read ends with a failure
	})
	return cmd.Process.Pid
}

// An old sandbox refuses statx. A watcher then asks in another way whether the daemon is
// dead.
func TestWatchWithoutStatx(t *testing.T) {
	if !kernelHas(t, "statmount") { // an older kernel has no other way to a mount's id
		fusetest.Skip(t, "run a kernel with statmount (Linux 6.8)")
	}
	for _, errno := range []unix.Errno{unix.ENOSYS, unix.EPERM} {
		t.Run(errno.Error(), func(t *testing.T) {
			call, mountpoint := asUser(t)
			call.Deny = helpertest.Deny(errno, "statx")
			call.Args = []string{"-o", "auto_unmount", mountpoint}
			w := startWatch(t, call, mountpoint)
			w.die(t)
			w.wantExit(t, 0)
			wantNothing(t, mountpoint)
		})
	}
}

// In a plain directory as root directory, without /proc, mounting and unmounting work.
func TestChrootWithoutProc(t *testing.T) {
	if !kernelHas(t, "statmount") {
		fusetest.Skip(t, "run a kernel with statmount (Linux 6.8)")
	}
	call, _ := asUser(t)
	root := chroot(t, map[string]string{"fusermount3": call.Prog, "dev/fuse": "/dev/fuse"})
	m := filepath.Join(root, "m")
	must(t, os.Mkdir(m, 0o755), os.Chown(m, alice, alice))
	ids := fmt.Sprint(alice)
	inside := func(args ...string) helpertest.Result {
		c := helpertest.Call{Prog: "/usr/bin/nsenter", KeepRoot: true, Dir: "/", Env: []string{"_FUSE_COMMFD=3"}}
		c.Args = append([]string{"--root=" + root, "--wd=" + root, "-S", ids, "-G", ids, "/fusermount3"}, args...)
		return run(t, c)
	}
	wantMounted(t, inside("/m"), m)
	if r := inside("-u", "/m"); r.Exit != 0 || r.Stderr != "" {
		t.Errorf("-u: exit %d, %q", r.Exit, r.Stderr)
	}
	wantNothing(t, m)
}

// An unreadable fuse.conf may have the line.
func TestConfUnreadable(t *testing.T) {
	call, mountpoint := asUser(t)
	writeFile(t, "/etc/fuse.conf", "user_allow_other\n")
	t.Cleanup(func() { _ = os.Remove("/etc/fuse.conf") })
	must(t, os.Chmod("/etc/fuse.conf", 0o640))
	call.Args = []string{"-o", "allow_other", mountpoint}
	r := run(t, call)
	if r.Exit != 1 || strings.Contains(r.Stderr, "add the line") {
		t.Errorf("exit %d, %q", r.Exit, r.Stderr)
	}
	wantHint(t, r, "make /etc/fuse.conf readable (chmod 0644)")
}

func TestReadOnlyMountpoint(t *testing.T) {
	call, mountpoint := asUser(t)
	must(t, unix.Mount(mountpoint, mountpoint, "", unix.MS_BIND, ""))
	must(t, unix.Mount("", mountpoint, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))
	sub := filepath.Join(mountpoint, ".")
	call.Args = []string{sub}
	r := run(t, call)
	if r.Exit != 1 || !strings.Contains(r.Stderr, "user has no write access to mountpoint") || strings.Contains(r.Stderr, "of your own") {
		t.Errorf("exit %d, %q", r.Exit, r.Stderr)
	}
	wantHint(t, r, "read-only")
}

// The sets of systemd's SystemCallFilter=~@NAME, as far as the helper makes these calls
// (systemd.exec(5)).
var systemdSets = map[string][]string{
	"@privileged": {"capset", "setfsuid", "setfsgid", "setresuid", "setresgid"},
	"@mount":      {"fsopen", "fsconfig", "fsmount", "move_mount", "open_tree", "mount", "umount2"},
}

// In a unit whose filter has such a set, root mounts where nothing has to be changed, and
// everybody else is refused. A user gets no message where the program can drop neither its
// ids nor its capabilities: it would be written with root's rights.
func TestSystemdFilters(t *testing.T) {
	for set, names := range systemdSets {
		deny := helpertest.Deny(unix.EPERM, names...)
		t.Run("root "+set, func(t *testing.T) {
			call, _ := asUser(t)
			call.KeepRoot, call.Deny = true, deny
			mountpoint := fusetest.Dir(t, 0)
			call.Args = []string{mountpoint}
			r := run(t, call)
			if set == "@mount" {
				wantRefusal(t, r, mountpoint, "mount failed: Operation not permitted")
				return
			}
			wantMounted(t, r, mountpoint)
			call.Socket, call.Args = helpertest.NoSocket, []string{"-u", mountpoint}
			if r := run(t, call); r.Exit != 0 || r.Stderr != "" {
				t.Errorf("-u: exit %d, %q", r.Exit, r.Stderr)
			}
			wantNothing(t, mountpoint)
		})
		t.Run("user "+set, func(t *testing.T) {
			call, mountpoint := asUser(t)
			call.Deny = deny
			text := "mount failed: Operation not permitted"
			if set == "@privileged" {
				text = ""
			}
			wantRefusal(t, run(t, call), mountpoint, text)
		})
	}
}

// Files of settings as editors and administrators leave them.
func TestConfShapes(t *testing.T) {
	for name, c := range map[string]struct {
		text    string
		works   bool
		message string
	}{
		"CRLF":          {"# settings\r\nuser_allow_other\r\n", true, ""},
		"a BOM":         {"\ufeffuser_allow_other\n", false, `unknown parameter in /etc/fuse.conf at line 1: '\357\273\277user_allow_other'`},
		"BOM, then":     {"\ufeff# settings\nuser_allow_other\n", true, "unknown parameter in /etc/fuse.conf at line 1: "},
		"100,000 lines": {strings.Repeat("# line\n", 100_000) + "user_allow_other\n", true, ""},
		"too large":     {strings.Repeat("# line\n", 200_000) + "user_allow_other\n", false, "arger than 1048576 bytes"},
		"a NUL":         {"user_allow_other\x00\n", false, `'user_allow_other\000'`},
	} {
		t.Run(name, func(t *testing.T) {
			call, mountpoint := asUser(t)
			writeFile(t, "/etc/fuse.conf", c.text)
			t.Cleanup(func() { _ = os.Remove("/etc/fuse.conf") })
			call.Args = []string{"-o", "allow_other", mountpoint}
			r := run(t, call)
			if (r.Exit == 0) != c.works || !strings.Contains(r.Stderr, c.message) || c.message == "" && r.Stderr != "" {
				t.Errorf("exit %d, %q", r.Exit, r.Stderr)
			}
			if r.Exit == 0 {
				unmount(t, call, mountpoint)
			}
		})
	}
}

// A trigger of autofs, over which only root may mount, comes to light again, and its daemon
// is not waited for.
func TestAutofsTrigger(t *testing.T) {
	call, mountpoint := asUser(t)
	call.KeepRoot = true
	read, write, err := os.Pipe()
	must(t, err)
	defer read.Close()
	defer write.Close()
	// The daemon is another process group: nobody who comes is let through.
	daemon := exec.Command("/bin/sh", "-c", "read -r x")
	stdin, err := daemon.StdinPipe()
	must(t, err)
	daemon.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(t, daemon.Start())
	defer func() {
		_ = stdin.Close()
		_ = daemon.Wait() // read ends with a failure
	}()
	data := fmt.Sprintf("fd=%d,pgrp=%d,uid=%d,gid=%d,minproto=5,maxproto=5,direct", write.Fd(), daemon.Process.Pid, alice, alice)
	if err := unix.Mount("trigger", mountpoint, "autofs", 0, data); err != nil {
		fusetest.Skip(t, "load the kernel module autofs4: "+err.Error())
	}
	r := run(t, call)
	wantMounted(t, r, mountpoint)
	call.Socket, call.Args = helpertest.NoSocket, []string{"-u", mountpoint}
	if r := run(t, call); r.Exit != 0 || r.Stderr != "" {
		t.Errorf("-u: exit %d, %q", r.Exit, r.Stderr)
	}
	if line, found := fusetest.FindMount(t, mountpoint); !found || line.FSType != "autofs" {
		t.Errorf("%+v, %v", line, found)
	}
}

// In a cgroup with few processes left the helper mounts, or nothing happens. Three are
// enough, but for a moment in which one of its calls takes long.
func TestPidsCgroup(t *testing.T) {
	call, mountpoint := asUser(t)
	group := pidsCgroup(t)
	for limit := 1; limit <= 6; limit++ {
		writeFile(t, filepath.Join(group, "pids.max"), fmt.Sprint(limit))
		inside := call
		inside.Prog, inside.KeepRoot, inside.Env = "/bin/sh", true, []string{"PATH=/usr/bin:/bin", "_FUSE_COMMFD=3"}
		inside.Args = []string{"-c", `echo $$ >"$1/cgroup.procs" && exec setpriv --reuid 4242 --regid 4242 --clear-groups "$2" "$3"`, "sh", group, call.Prog, mountpoint}
		r := run(t, inside)
		switch _, found := fusetest.FindMount(t, mountpoint); {
		case limit >= 4 && (r.Exit != 0 || !found || r.Stderr != ""):
			t.Errorf("%d processes: exit %d, %q", limit, r.Exit, r.Stderr)
		case r.Exit != 0 && found && limit != 3: // COMPAT.md: "in the middle"
			t.Errorf("%d processes: mounted, exit %d, %q", limit, r.Exit, r.Stderr)
		case found:
			unmount(t, call, mountpoint)
		}
	}
}

// pidsCgroup makes a cgroup of its own.
func pidsCgroup(t *testing.T) (dir string) {
	t.Helper()
	for _, top := range []string{"/sys/fs/cgroup/pids", "/sys/fs/cgroup"} {
		dir = filepath.Join(top, fmt.Sprintf("fusermount-test-%d", os.Getpid()))
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() { must(t, os.Remove(dir)) })
		if _, err := os.Stat(filepath.Join(dir, "pids.max")); err == nil {
			return dir
		}
	}
	fusetest.Skip(t, "provide a cgroup file system with the controller pids that root can write to")
	return ""
}
