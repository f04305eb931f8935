package conformance

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// holder starts a user's shell that does something and then waits until the test
// is over.
func holder(t *testing.T, uid uint32, script string) (pid int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", script+" && echo there && read -r x")
	cmd.Dir, cmd.Env = "/", []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait() // read ends with a failure
		cancel()
	})
	word := make([]byte, len("there\n"))
	if _, err := io.ReadFull(stdout, word); err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return cmd.Process.Pid
}

// wantBusy wants -u to fail, with a hint that has some words and lacks others, and
// which asks no daemon.
func wantBusy(t *testing.T, call fusetest.Call, mountpoint string, s *fusetest.Server, has, lacks string) {
	t.Helper()
	before := len(s.Asked())
	r := look(t, call, "-u", mountpoint)
	if r.Exit != 1 || !strings.Contains(r.Stderr, "failed to unmount "+mountpoint+": Device or resource busy\n") {
		t.Fatalf("exit %d, %q", r.Exit, r.Stderr)
	}
	wantHint(t, r, has)
	wantHint(t, r, "-z detaches it now")
	if lacks != "" && strings.Contains(r.Stderr, lacks) {
		t.Errorf("%q has %q", r.Stderr, lacks)
	}
	if asked := s.Asked(); len(asked) != before {
		t.Errorf("the daemon was asked: %v", asked[before:])
	}
}

// The hint at EBUSY names who holds the mount: what the caller may see of it.
func TestBusyNamesHolders(t *testing.T) {
	for read, deny := range waysToRead {
		t.Run(read, func(t *testing.T) {
			call, _ := asUser(t)
			writeFile(t, "/etc/fuse.conf", "user_allow_other\n")
			t.Cleanup(func() { _ = os.Remove("/etc/fuse.conf") })
			mountpoint, s := serveMount(t, call, "allow_other")
			beside, _ := serveMount(t, call, "")
			call.Deny = deny
			theirs := holder(t, bob, "cd "+mountpoint)
			holder(t, alice, "cd "+beside)
			// In a mount namespace of its own this is another mount with the same name.
			holder(t, 0, "exec unshare -m --propagation private setpriv --reuid 4242 --regid 4242 --clear-groups "+
				"sh -c 'cd "+mountpoint+" && echo there && read -r x'")
			wantBusy(t, call, mountpoint, s, "something still uses it", "pid")
			root := call
			root.KeepRoot = true
			wantBusy(t, root, mountpoint, s, fmt.Sprintf("used by sh (pid %d);", theirs), "")
			first := holder(t, alice, "cd "+mountpoint)
			wantBusy(t, call, mountpoint, s, fmt.Sprintf("used by sh (pid %d);", first), fmt.Sprintf("(pid %d)", theirs))
			second := holder(t, alice, "exec 5<"+mountpoint+"/hello")
			wantBusy(t, call, mountpoint, s, fmt.Sprintf("sh (pid %d)", second), "")
			wantBusy(t, call, mountpoint, s, fmt.Sprintf("sh (pid %d)", first), "")
			for range 5 {
				holder(t, alice, "cd "+mountpoint)
			}
			wantBusy(t, call, mountpoint, s, ", 2 more;", "")
			if r := look(t, call, "-u", "-q", mountpoint); r.Exit != 1 || r.Stderr != "" {
				t.Errorf("-q: exit %d, %q", r.Exit, r.Stderr)
			}
		})
	}
}

func TestBusyNamesMountsInside(t *testing.T) {
	for read, deny := range waysToRead {
		t.Run(read, func(t *testing.T) {
			call, _ := asUser(t)
			mountpoint, s := serveMount(t, call, "")
			call.Deny = deny
			bindInside(t, mountpoint+"/hello")
			wantBusy(t, call, mountpoint, s, "mounted inside: "+mountpoint+"/hello; -z", "pid")
		})
	}
}

// bindInside mounts a file over one inside of a user's mount, which root alone
// cannot enter.
func bindInside(t *testing.T, path string) {
	t.Helper()
	var fd int
	err := fusetest.AsUser(alice, alice, func() (err error) {
		fd, err = unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("/etc/passwd", fmt.Sprintf("/proc/self/fd/%d", fd), "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Close(fd); err != nil {
		t.Fatal(err)
	}
}

// Where the daemon hangs, the hint names whoever waits for it, and the daemon is not
// asked.
func TestBusyAndHung(t *testing.T) {
	call, _ := asUser(t)
	mountpoint, s := serveMount(t, call, "")
	holder(t, alice, "cd "+mountpoint)
	answer := hang(t, mountpoint, s)
	wantBusy(t, call, mountpoint, s, "used by sh", "something still uses it")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-answer; err == nil {
		t.Error("a hung daemon has answered")
	}
}

// falseProc puts a procfs of a test's own over the real one: it has the mount table,
// and names a profile. Then it waits.
const falseProc = `
table=$(while IFS= read -r line; do printf "%s\n" "$line"; done < /proc/self/mountinfo) &&
mount -t tmpfs proc /proc && mkdir -p /proc/self/attr &&
printf "%s\n" "$table" > /proc/self/mountinfo &&
printf "%s\n" "$1" > /proc/self/attr/current &&
echo there && read -r x`

// Where a profile of AppArmor confines the program, a mount that is refused has a
// hint that names it. A kernel without AppArmor can show that only with a procfs
// that says so.
func TestProfileHint(t *testing.T) {
	call, mountpoint := asUser(t)
	refused := func(profile string) fusetest.Result {
		pid := holder(t, 0, `exec unshare -m --propagation private sh -c '`+falseProc+`' sh "`+profile+`"`)
		inside := call
		inside.Prog, inside.KeepRoot, inside.Deny = "/usr/bin/nsenter", true, fusetest.Deny(unix.EACCES, "fsopen", "mount")
		inside.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
		inside.Args = []string{
			fmt.Sprintf("--mount=/proc/%d/ns/mnt", pid),
			"setpriv", "--reuid", "4242", "--regid", "4242", "--clear-groups", call.Prog, mountpoint,
		}
		r := run(t, inside)
		wantRefusal(t, r, mountpoint, "mount failed: Permission denied")
		return r
	}
	wantHint(t, refused("fusermount3 (enforce)"),
		"the AppArmor profile 'fusermount3' confines this program: if mounting fails with 'Permission denied', "+
			"allow the place in /etc/apparmor.d/local/fusermount3, and as root: apparmor_parser -r /etc/apparmor.d/fusermount3")
	for _, profile := range []string{"unconfined", "fusermount3 (complain)", "u:r:t:s0"} {
		if r := refused(profile); strings.Contains(r.Stderr, "hint") {
			t.Errorf("%s: %q", profile, r.Stderr)
		}
	}
}
