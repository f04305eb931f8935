package conformance

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
	"github.com/go-fusermount/fusermount/internal/seccomp"
)

// foreign is a helper for arm64, run by qemu's emulation of that machine, which
// prints the system calls. qemu is set-uid instead, and refuses seccomp filters: a call
// that a list in package seccomp lacks does no harm here, and is printed.
type foreign struct {
	qemu, helper, trace string
	numbers             map[string]string // of arm64's calls, by name
	calls               map[string]bool   // "TASKS NUMBER NAME"
}

func newForeign(t *testing.T) *foreign {
	t.Helper()
	helper := os.Getenv("FUSERMOUNT_ARM64")
	if helper == "" {
		t.Skip("traces a helper for arm64: run 'make test-arch'")
	}
	fusetest.NeedRoot(t)
	qemu, err := exec.LookPath("qemu-aarch64-static")
	if err != nil {
		fusetest.Skip(t, "install qemu: apt-get install qemu-user-static")
	}
	addUsers(t)
	return &foreign{
		qemu:    fusetest.InstallHelper(t, qemu, fusetest.Setuid),
		helper:  fusetest.InstallHelper(t, helper, fusetest.Plain),
		trace:   filepath.Join(fusetest.Dir(t, 0), "trace"),
		numbers: arm64Numbers(t),
		calls:   map[string]bool{},
	}
}

// arm64Numbers reads the numbers from the source of x/sys.
func arm64Numbers(t *testing.T) map[string]string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys").Output()
	if err != nil {
		t.Fatal(err)
	}
	text := helpertest.ReadFile(t, filepath.Join(strings.TrimSpace(string(dir)), "unix/zsysnum_linux_arm64.go"))
	numbers := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\s+SYS_(\w+)\s+= (\d+)`).FindAllStringSubmatch(text, -1) {
		numbers[strings.ToLower(m[1])] = m[2]
	}
	return numbers
}

// call has qemu run the helper for alice. qemu passes on only half of a mount id, or
// nothing, so the helper has to use its fallback. The error is the one by which a
// watcher recognizes a dead daemon.
func (f *foreign) call(args ...string) helpertest.Call {
	return helpertest.Call{
		Prog: f.qemu, UID: alice, GID: alice, Dir: "/",
		Args: append([]string{"-strace", "-D", f.trace, f.helper}, args...),
		Deny: helpertest.Deny(unix.ENOTCONN, "statx", "name_to_handle_at"),
	}
}

// keepingTrace runs a call whose helper closes all descriptors that it does not know.
// Among them is the one to which qemu prints: strace has that close fail.
func (f *foreign) keepingTrace(t *testing.T, call helpertest.Call) helpertest.Call {
	t.Helper()
	call.Args = slices.Concat([]string{
		"-f", "-o", "/dev/null", "-P", f.trace, "-e", "trace=close", "-e", "inject=close:error=EBADF", "-u", "alice", call.Prog,
	}, call.Args)
	call.Prog, call.KeepRoot = newTracer(t).program, true
	return call
}

// printed matches the calls in a trace, of all threads, some on one line. A call that
// qemu does not know has only a number.
var printed = regexp.MustCompile(`\b\d+ (?:([a-z_0-9]+)\(|Unknown syscall (\d+))`)

// confined returns the calls of the trace that a filter would have judged, by the tasks
// of that filter.
func (f *foreign) confined(t *testing.T, filters ...seccomp.Task) {
	t.Helper()
	seen := 0
	for _, m := range printed.FindAllStringSubmatch(helpertest.ReadFile(t, f.trace), -1) {
		name, number := m[1], m[2]
		if name != "" {
			var known bool
			if number, known = f.numbers[name]; !known {
				t.Errorf("arm64 has no system call %s", name)
			}
		}
		if seen > 0 {
			f.calls[fmt.Sprintf("%d %s %s", filters[min(seen, len(filters))-1], number, name)] = true
		}
		if name == "seccomp" {
			seen++
		}
	}
	if seen != len(filters) {
		t.Errorf("%d filters, want %d", seen, len(filters))
	}
	if err := os.Remove(f.trace); err != nil {
		t.Fatal(err)
	}
}

func (f *foreign) mountAndUnmount(t *testing.T, mountpoint, options, how string, tables seccomp.Task) {
	t.Helper()
	wantMounted(t, run(t, f.call("-o", options, mountpoint)), mountpoint)
	f.confined(t, seccomp.Mount|seccomp.OldMount|tables)
	call := f.call(how, mountpoint)
	call.Socket = helpertest.NoSocket
	if r := run(t, call); r.Exit != 0 || r.Stderr != "" {
		t.Errorf("unmount: exit %d, %s", r.Exit, r.Stderr)
	}
	wantNothing(t, mountpoint)
	f.confined(t, seccomp.Unmount|tables)
}

// TestForeignCalls writes the calls that the helper makes on arm64 to the file
// FUSERMOUNT_CALLS. A test of package seccomp, built for that machine, compares them
// with its lists.
func TestForeignCalls(t *testing.T) {
	f := newForeign(t)
	mountpoint := fusetest.Dir(t, alice)
	file := filepath.Join(mountpoint, "file")
	f.mountAndUnmount(t, mountpoint, "fsname=a,subtype=b", "-u", 0)
	writeFile(t, file, "")
	if err := os.Chown(file, alice, alice); err != nil {
		t.Fatal(err)
	}
	f.mountAndUnmount(t, file, "ro", "-uz", 0)
	f.refused(t, mountpoint)
	f.printing(t, mountpoint)
	f.watching(t, mountpoint, 0)

	writeFile(t, "/run/mount/utab", "")
	t.Cleanup(func() { _ = os.RemoveAll("/run/mount") })
	f.mountAndUnmount(t, mountpoint, "x-a", "-u", seccomp.Tables)
	f.watching(t, mountpoint, seccomp.Tables)

	lines := slices.Sorted(maps.Keys(f.calls))
	if len(lines) < 100 {
		t.Errorf("only %d calls: this is no trace of the helper", len(lines))
	}
	if err := os.WriteFile(os.Getenv("FUSERMOUNT_CALLS"), []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (f *foreign) refused(t *testing.T, mountpoint string) {
	t.Helper()
	wantRefusal(t, run(t, f.call("-o", "nonsense", mountpoint)), mountpoint, "unknown option 'nonsense'")
	f.confined(t, seccomp.Mount|seccomp.OldMount)
	full := f.call(mountpoint)
	full.Prefill = true
	wantRefusal(t, run(t, full), mountpoint, "failed to send the fuse descriptor")
	f.confined(t, seccomp.Mount|seccomp.OldMount)
	// qemu does not know the new mount API.
	wantRefusal(t, run(t, f.call("--sync-init", "-o", "auto_unmount", mountpoint)), mountpoint, "")
	f.confined(t, seccomp.Mount|seccomp.Answer|seccomp.Leave|seccomp.Watch)
}

func (f *foreign) printing(t *testing.T, mountpoint string) {
	t.Helper()
	call := f.call("--version")
	call.Socket = helpertest.NoSocket
	if r := run(t, call); r.Exit != 0 || r.Stdout == "" {
		t.Errorf("exit %d, %s%s", r.Exit, r.Stdout, r.Stderr)
	}
	f.confined(t, seccomp.Print)
	wantNothing(t, mountpoint)
}

// watching has the helper unmount after its daemon dies.
func (f *foreign) watching(t *testing.T, mountpoint string, tables seccomp.Task) {
	t.Helper()
	options := "auto_unmount"
	if tables != 0 {
		options += ",x-a"
	}
	w := startWatch(t, f.keepingTrace(t, f.call("-o", options, mountpoint)), mountpoint)
	w.die(t)
	w.wantExit(t, 0)
	wantNothing(t, mountpoint)
	all := seccomp.Mount | seccomp.OldMount | seccomp.Leave | seccomp.Watch | tables
	f.confined(t, all, seccomp.Unmount|seccomp.Watch|tables)
}
