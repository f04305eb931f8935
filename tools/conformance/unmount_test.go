package conformance

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// holder starts a user's shell that runs a command and then waits for the test's end.
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

// wantBusy wants -u to fail with a hint that has some words and lacks others, and that
// no daemon was asked for.
func wantBusy(t *testing.T, call helpertest.Call, mountpoint string, s *fuseserver.Server, has, lacks string) {
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

// The hint at EBUSY names the processes that use the mount, as far as the caller may see
// them.
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
			// In a mount namespace of its own this is another mount of the same name.
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
			wantBusy(t, call, mountpoint, s, "unmount "+mountpoint+"/hello first; -z", "pid")
		})
	}
}

// bindInside mounts a file over one inside of a user's mount. Root cannot enter that
// mount, so a thread of the user's opens the file.
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

// falseProc mounts a false /proc over the real one. It has the mount table, and names a
// profile.
const falseProc = `
table=$(while IFS= read -r line; do printf "%s\n" "$line"; done < /proc/self/mountinfo) &&
mount -t tmpfs proc /proc && mkdir -p /proc/self/attr &&
printf "%s\n" "$table" > /proc/self/mountinfo &&
printf "%s\n" "$1" > /proc/self/attr/current &&
echo there && read -r x`

// When a profile of AppArmor confines the program, a refused mount has a hint that names
// the profile. A kernel without AppArmor needs a false /proc for this test.
func TestProfileHint(t *testing.T) {
	call, mountpoint := asUser(t)
	refused := func(profile string) helpertest.Result {
		pid := holder(t, 0, `exec unshare -m --propagation private sh -c '`+falseProc+`' sh "`+profile+`"`)
		inside := call
		inside.Prog, inside.KeepRoot, inside.Deny = "/usr/bin/nsenter", true, helpertest.Deny(unix.EACCES, "fsopen", "mount")
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

// The owner of a dead or hung mount can also unmount it by . and .. from inside of it.
// With default_permissions the kernel would ask the daemon to resolve these.
func TestUnmountFromInside(t *testing.T) {
	for state, end := range map[string]func(*fuseserver.Server) error{
		"dead": (*fuseserver.Server).Close,
		"hung": func(s *fuseserver.Server) error { s.Hang(); return nil },
	} {
		paths := []string{".", "../NAME", "PATH/.", "./", "./.", "../NAME/.", "PATH/./", "./../NAME//"}
		for _, path := range paths[:rounds(len(paths))] {
			t.Run(state+" "+path, func(t *testing.T) {
				call, mountpoint := asUser(t)
				call.Args = []string{"-o", "default_permissions", mountpoint}
				r := run(t, call)
				wantMounted(t, r, mountpoint)
				server := fuseserver.Serve(r.Dev, fuseserver.Tree{})
				t.Cleanup(func() { _ = server.Close() }) // dead in half of the cases
				<-server.Ready()
				rescue := time.AfterFunc(10*time.Second, func() { _ = server.Close() }) // nothing else would end the wait
				defer rescue.Stop()
				names := strings.NewReplacer("NAME", filepath.Base(mountpoint), "PATH", mountpoint)
				text, err := inside(t, mountpoint, func() {
					if err := end(server); err != nil {
						t.Error(err)
					}
				}, call.Prog, "-uz", names.Replace(path))
				if err != nil || text != "" {
					t.Errorf("%v: %s", err, text)
				}
				wantNothing(t, mountpoint)
			})
		}
	}
}

// inside runs a command as alice in a directory. It changes to the directory first and
// then calls before, after which alice could no longer change to it.
func inside(t *testing.T, dir string, before func(), command ...string) (text string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), fusetest.Patience)
	t.Cleanup(cancel)
	sh := exec.CommandContext(ctx, "sh", append([]string{"-c", `echo && read go && exec "$@"`, "sh"}, command...)...)
	sh.Dir, sh.SysProcAttr = dir, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: alice, Gid: alice}}
	stdin, err := sh.StdinPipe()
	must(t, err)
	stdout, err := sh.StdoutPipe()
	must(t, err)
	sh.Stderr = sh.Stdout
	must(t, sh.Start())
	_, err = stdout.Read(make([]byte, 1)) // the shell has looked at its directory
	must(t, err)
	before()
	_, err = stdin.Write([]byte("\n"))
	must(t, err)
	out, err := io.ReadAll(stdout)
	must(t, err)
	return string(out), sh.Wait()
}
