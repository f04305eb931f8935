package conformance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// The helper works with the file capability alone.
func TestFileCapability(t *testing.T) {
	call, mountpoint := asUser(t)
	call.Prog = fusetest.InstallHelper(t, helperProgram(t), fusetest.Setcap)
	for way, deny := range waysToMount {
		call.Deny = deny
		wantMounted(t, run(t, call), mountpoint)
		unmount(t, call, mountpoint)
		t.Log(way)
	}
	t.Run("tables", func(t *testing.T) { wantNoTables(t, call, mountpoint) })
}

// Without root's permissions the tables cannot be written: a warning reports that, and
// the mount stays.
func wantNoTables(t *testing.T, call helpertest.Call, mountpoint string) {
	t.Helper()
	const why = " not written: the program has the file capability alone, and not the setuid bit\n"
	call.Args = []string{"-o", "x-a", mountpoint}
	writeFile(t, "/run/mount/utab", "")
	t.Cleanup(func() { _ = os.RemoveAll("/run/mount") })
	r := run(t, call)
	wantMounted(t, r, mountpoint)
	if want := call.Prog + ": warning: /run/mount/utab" + why; r.Stderr != want {
		t.Errorf("%q, want %q", r.Stderr, want)
	}
	unmount(t, call, mountpoint)
	setMtabAside(t)
	writeFile(t, "/etc/mtab", "")
	r = run(t, call)
	wantMounted(t, r, mountpoint)
	if want := call.Prog + ": warning: /run/mount/utab and /etc/mtab" + why; r.Stderr != want {
		t.Errorf("%q, want %q", r.Stderr, want)
	}
	call.Args = []string{"-u", mountpoint}
	r = call.Run(t.Context())
	if want := call.Prog + ": warning: /etc/mtab" + why; r.Exit != 0 || r.Stderr != want {
		t.Errorf("exit %d, %q, want %q", r.Exit, r.Stderr, want)
	}
}

// As root of a user namespace, without a bit on the file. An ordinary user can run this
// test.
func TestUserNamespaceRoot(t *testing.T) {
	fusetest.NeedNamespace(t)
	fusetest.NeedDevice(t)
	program := fusetest.InstallHelper(t, helperProgram(t), fusetest.Plain)
	mountpoint := fusetest.Dir(t, 0)
	call := helpertest.Call{Prog: program, KeepRoot: true, Dir: "/", Args: []string{mountpoint}}
	for way, deny := range waysToMount {
		if fusetest.Have() != fusetest.Root && deny != nil {
			continue // a filter needs CAP_SYS_ADMIN on this machine
		}
		wantMounted(t, run(t, call), mountpoint)
		unmount(t, call, mountpoint)
		t.Log(way)
	}
}

// Without the privilege, the message gives the reason.
func TestMissingPrivilege(t *testing.T) {
	call, mountpoint := asUser(t)
	plain := fusetest.InstallHelper(t, helperProgram(t), fusetest.Plain)
	for name, c := range map[string]struct {
		change func(*helpertest.Call)
		hint   string
	}{
		"no setuid bit":   {func(c *helpertest.Call) { c.Prog = plain }, "without the setuid bit"},
		"no_new_privs":    {func(c *helpertest.Call) { c.NoNewPrivs = true }, "no_new_privs is set"},
		"nosuid mount":    {func(c *helpertest.Call) { c.Prog = onNosuid(t, c.Prog) }, "mounted nosuid"},
		"bounding set":    {func(c *helpertest.Call) { c.DropCaps = []int{unix.CAP_SYS_ADMIN} }, "the capability bounding set lacks CAP_SYS_ADMIN"},
		"forbidden calls": {func(c *helpertest.Call) { c.Deny = helpertest.Deny(unix.EPERM, "fsopen", "mount") }, "the kernel refuses"},
	} {
		t.Run(name, func(t *testing.T) {
			call := call
			c.change(&call)
			r := run(t, call)
			wantRefusal(t, r, mountpoint, "mount failed: Operation not permitted")
			if !strings.Contains(r.Stderr, c.hint) {
				t.Errorf("hint: %q; want %q", r.Stderr, c.hint)
			}
		})
	}
}

func TestMissingPrivilegeToUnmount(t *testing.T) {
	call, mountpoint := asUser(t)
	wantMounted(t, run(t, call), mountpoint)
	without := call
	without.Args, without.Socket, without.NoNewPrivs = []string{"-u", mountpoint}, helpertest.NoSocket, true
	r := run(t, without)
	if r.Exit != 1 || !strings.Contains(r.Stderr, "failed to unmount "+mountpoint+": Operation not permitted") {
		t.Errorf("exit %d: %s", r.Exit, r.Stderr)
	}
	wantHint(t, r, "no_new_privs is set")
	unmount(t, call, mountpoint)
}

// In a user namespace where the caller is unmapped, or owns none of the inherited mounts,
// the message says that.
func TestOtherNamespaces(t *testing.T) {
	call, mountpoint := asUser(t)
	wantMounted(t, run(t, call), mountpoint)
	unshare := call
	unshare.Prog, unshare.Socket = "/usr/bin/unshare", helpertest.NoSocket
	for flags, hint := range map[string]string{"-U": "no mapping in this user namespace", "-Urm": "comes from outside of this namespace"} {
		unshare.Args = []string{flags, call.Prog, "-u", mountpoint}
		r := run(t, unshare)
		if strings.Contains(r.Stderr, "unshare failed") {
			fusetest.Skip(t, "allow users to create user namespaces")
		}
		if r.Exit != 1 || flags == "-Urm" && !strings.Contains(r.Stderr, "failed to unmount "+mountpoint+": Invalid argument") {
			t.Errorf("%s: exit %d: %s", flags, r.Exit, r.Stderr)
		}
		wantHint(t, r, hint)
	}
	unmount(t, call, mountpoint)
}

func onNosuid(t *testing.T, program string) string {
	t.Helper()
	dir := fusetest.Dir(t, 0)
	if err := unix.Mount("nosuid", dir, "tmpfs", unix.MS_NOSUID, "mode=0755"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "fusermount3")
	if err := os.WriteFile(path, text, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	return path
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// setMtabAside moves /etc/mtab, which is usually a link, away until the test's end.
func setMtabAside(t *testing.T) {
	t.Helper()
	const path, saved = "/etc/mtab", "/etc/mtab.saved"
	if err := os.Rename(path, saved); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Rename(saved, path); err != nil {
			t.Error(err)
		}
	})
}
