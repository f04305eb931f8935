package conformance

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// No environment changes what the helper does. It can only keep it from starting.
func TestEnvironment(t *testing.T) {
	call, mountpoint := asUser(t)
	call.Env = []string{
		"LD_PRELOAD=/nowhere/evil.so", "LD_LIBRARY_PATH=/nowhere", "LIBMOUNT_FSTAB=/nowhere/x", "LIBMOUNT_DEBUG=all",
		"GODEBUG=inittrace=1,gctrace=1", "GOGC=1", "GOMAXPROCS=1", "GOTRACEBACK=crash", "TZ=/etc/shadow",
		"PATH=/tmp", "HOME=/tmp", "USER=root", "PWD=/root", "MODPROBE_OPTIONS=-C /tmp", "FUSE_KERN_DEVICE=/dev/null",
		"_FUSE_COMMFD2=77", "LANG=de_DE.UTF-8", "LC_ALL=tr_TR",
	}
	wantMounted(t, run(t, call), mountpoint)
	unmount(t, call, mountpoint)
}

// An empty argv is a missing argument, not a crash.
func TestNoArguments(t *testing.T) {
	call, mountpoint := asUser(t)
	call.Argv = []string{}
	wantRefusal(t, run(t, call), mountpoint, "missing mountpoint argument")
}

// The program's name is escaped in messages.
func TestProgramName(t *testing.T) {
	call, mountpoint := asUser(t)
	call.Argv = []string{"\x1b]0;x\a\n"}
	r := run(t, call)
	wantRefusal(t, r, mountpoint, "missing mountpoint argument")
	const name = `\033]0;x\007\012`
	for line := range strings.Lines(r.Stderr) {
		if !strings.HasPrefix(line, name+": ") {
			t.Errorf("%q; want it to begin with %q", line, name)
		}
	}
}

// The caller's limits, signal mask and umask cannot tear a table, nor leave a mount
// whose device was not sent.
func TestLimits(t *testing.T) {
	writeOdd := 0o777
	for name, change := range map[string]func(*helpertest.Call){
		"file size 0": func(c *helpertest.Call) { c.Rlimits = []helpertest.Rlimit{{Resource: unix.RLIMIT_FSIZE}} },
		"processes 0": func(c *helpertest.Call) { c.Rlimits = []helpertest.Rlimit{{Resource: unix.RLIMIT_NPROC}} },
		"small stack": func(c *helpertest.Call) {
			c.Rlimits = []helpertest.Rlimit{{Resource: unix.RLIMIT_STACK, Value: 64 << 10}}
		},
		"core 0":    func(c *helpertest.Call) { c.Rlimits = []helpertest.Rlimit{{Resource: unix.RLIMIT_CORE}} },
		"memlock 0": func(c *helpertest.Call) { c.Rlimits = []helpertest.Rlimit{{Resource: unix.RLIMIT_MEMLOCK}} },
		"blocked signals": func(c *helpertest.Call) {
			c.Block = []unix.Signal{unix.SIGTERM, unix.SIGHUP, unix.SIGALRM, unix.SIGURG}
		},
		"ignored signals": func(c *helpertest.Call) { c.Ignore = []unix.Signal{unix.SIGPIPE, unix.SIGCHLD, unix.SIGXFSZ} },
		"umask 0777":      func(c *helpertest.Call) { c.Umask = &writeOdd },
	} {
		t.Run(name, func(t *testing.T) {
			call, mountpoint := asUser(t)
			const before = "SRC=x TARGET=/else ROOT=/ OPTS=x-y\n"
			writeFile(t, "/run/mount/utab", before)
			t.Cleanup(func() { _ = os.RemoveAll("/run/mount") })
			call.Args = []string{"-o", "x-a,fsname=s", mountpoint}
			change(&call)
			r := run(t, call)
			if name == "processes 0" && !rootRaisesLimits(t) {
				wantNoThread(t, r, mountpoint)
				wantTable(t, before, 0)
				return
			}
			wantMounted(t, r, mountpoint)
			added := 1
			if strings.Contains(r.Stderr, "/run/mount/utab not updated: write temporary table: file too large") {
				added = 0 // root itself may not raise limits here
			} else if r.Stderr != "" {
				t.Errorf("standard error is %q", r.Stderr)
			}
			wantTable(t, before, added)
			unmount(t, call, mountpoint)
			wantTable(t, before, 0)
		})
	}
}

// wantTable wants utab to have its old text and some lines of ours, to belong to root,
// and to be readable for all and writable for root alone.
func wantTable(t *testing.T, before string, more int) {
	t.Helper()
	text, err := os.ReadFile("/run/mount/utab")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), before) || strings.Count(string(text), "\n") != 1+more {
		t.Errorf("utab is %q", text)
	}
	var st unix.Stat_t
	if err := unix.Stat("/run/mount/utab", &st); err != nil {
		t.Fatal(err)
	}
	if st.Uid != 0 || st.Gid != 0 || st.Mode&0o777 != 0o644 {
		t.Errorf("utab belongs to %d:%d, mode %o", st.Uid, st.Gid, st.Mode)
	}
	names, err := os.ReadDir("/run/mount")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if n.Name() != "utab" && n.Name() != "utab.lock" {
			t.Errorf("left behind: %s", n.Name())
		}
	}
}

// Limits that are too low: an error, and nothing mounted. The helper raises the limit of
// memory where it may.
func TestNoRoom(t *testing.T) {
	for name, limit := range map[string]helpertest.Rlimit{
		"descriptors": {Resource: unix.RLIMIT_NOFILE, Value: 4},
		"memory":      {Resource: unix.RLIMIT_AS, Value: strconv.IntSize / 4 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			call, mountpoint := asUser(t)
			call.Rlimits = []helpertest.Rlimit{limit}
			r := run(t, call)
			if name == "memory" && rootRaisesLimits(t) {
				wantMounted(t, r, mountpoint)
				call.Rlimits = nil
				unmount(t, call, mountpoint)
				return
			}
			if r.Exit == 0 || r.NFDs != 0 {
				t.Errorf("exit %d, %d descriptors: %s", r.Exit, r.NFDs, r.Stderr)
			}
			wantNothing(t, mountpoint)
		})
	}
}

// rootRaisesLimits reports whether a set-uid program of root has CAP_SYS_RESOURCE, with
// which the helper raises limits that the caller has lowered.
func rootRaisesLimits(t *testing.T) bool {
	t.Helper()
	in, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, unix.CAP_SYS_RESOURCE, 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return in == 1
}

// wantNoThread wants the process to end before it has done anything, since it cannot
// have the threads with which the Go runtime starts.
func wantNoThread(t *testing.T, r helpertest.Result, mountpoint string) {
	t.Helper()
	if r.Exit != 2 || !strings.Contains(r.Stderr, "may need to increase max user processes") || r.NFDs != 0 {
		t.Errorf("exit %d, %d descriptors: %s", r.Exit, r.NFDs, r.Stderr)
	}
	wantNothing(t, mountpoint)
}

// A caller who may start few processes, or none, gets a mount or nothing, also where the
// environment has the Go runtime collect garbage all the time.
func TestFewThreads(t *testing.T) {
	call, mountpoint := asUser(t)
	call.Env = []string{"GOGC=1", "GOMEMLIMIT=1B"}
	for limit := range uint64(6) {
		call.Rlimits = []helpertest.Rlimit{{Resource: unix.RLIMIT_NPROC, Value: limit}}
		for range 3 {
			r := run(t, call)
			if r.Exit != 0 && !rootRaisesLimits(t) {
				wantNoThread(t, r, mountpoint)
				continue
			}
			wantMounted(t, r, mountpoint)
			without := call
			without.Rlimits = nil
			unmount(t, without, mountpoint)
		}
	}
}

// A lock that is never released costs a bounded wait and a warning.
func TestHeldLock(t *testing.T) {
	call, mountpoint := asUser(t)
	writeFile(t, "/run/mount/utab", "")
	t.Cleanup(func() { _ = os.RemoveAll("/run/mount") })
	writeFile(t, "/run/mount/utab.lock", "")
	lock, err := os.Open("/run/mount/utab.lock")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	call.Args = []string{"-o", "x-a", mountpoint}
	r := run(t, call)
	wantMounted(t, r, mountpoint)
	if !strings.Contains(r.Stderr, "lock is held") || r.Elapsed > 10*time.Second {
		t.Errorf("after %v: %q", r.Elapsed, r.Stderr)
	}
	unmount(t, call, mountpoint)
}
