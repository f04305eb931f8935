package races

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// TestThreads checks every thread of the helper before each of its system calls, from the
// first on. The first calls give it the caller's ids, while it has one thread. Afterwards
// no thread has an id of root's, and only the main one has a capability, for one call at
// a time.
func TestThreads(t *testing.T) {
	program := install(t)
	for _, m := range watchedModes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			look(t, worldWithUtab(t, program), m)
		})
	}
}

// look checks a run of the helper, whose user tries to get into each of its threads before
// each call.
func look(t *testing.T, w *world, m mode) {
	t.Helper()
	attempts := 0
	o := observe(t, w, m, func(o *observation) {
		o.decide = func(s helpertest.Syscall) helpertest.Verdict {
			attempts++
			won, err := intrude(w.here, s.PID, true)
			o.err = errors.Join(o.err, err)
			if len(won) == 0 {
				return helpertest.Continue
			}
			o.complain("%v: its user is in it: %q", s, won)
			return helpertest.Kill
		}
	})
	if o.result.Exit != 0 != m.fails {
		o.complain("exit %d", o.result.Exit)
	}
	if len(o.bad) > 0 {
		t.Errorf("%s", o)
	}
	t.Logf("%d attempts to get into up to %d threads", attempts, o.most)
}

// watchedModes are the ways through the helper that differ in what it retains.
var watchedModes = []mode{
	{name: "mount", args: []string{"-o", "x-a"}},
	{name: "mount by mount(2)", args: []string{"-o", tooLong}},
	{name: "failed send", args: []string{"-o", "x-a"}, call: helpertest.Call{HangUp: true}, fails: true},
	{name: "sync-init", args: []string{"--sync-init"}, talk: answer},
	{name: "-u", args: []string{"-u"}, call: noSocket, mount: true},
	{name: "auto_unmount", args: []string{"-o", "auto_unmount"}, talk: die},
	{name: "auto_unmount with utab", args: []string{"-o", "auto_unmount,x-a"}, talk: die},
	{name: "--auto-unmount", args: []string{"--auto-unmount"}, mount: true, dead: true, talk: hangUp},
	{name: "refused option", args: []string{"-o", "nonsense"}, fails: true},
	{name: "version", args: []string{"-V"}, call: noSocket},
}

// becoming are the calls by which a process becomes its caller, and queries the ids. No
// other call is made with root's ids.
var becoming = map[string]bool{
	"getuid": true, "geteuid": true, "getgid": true, "getegid": true, "getresuid": true, "getresgid": true,
	"setresuid": true, "setresgid": true, "capget": true, "capset": true, "prctl": true, "prlimit64": true,
	"rt_sigaction": true, "exit_group": true,
}

// bracketed are the calls that are made with a capability, and those that raise and
// drop it.
var bracketed = map[string]bool{
	"capget": true, "capset": true, "fsopen": true, "fsconfig": true, "fsmount": true, "move_mount": true, "mount": true,
	"umount2": true, "setfsuid": true, "setfsgid": true, "prctl": true,
	"clock_gettime":  true,                                // of the Go runtime, where the clock needs a call
	"rt_sigprocmask": true, "getpid": true, "clone": true, // to fork the child of sync-init, which inherits it
}

// observation is a run of the helper that is checked before each system call.
type observation struct {
	mode    mode
	calls   []string
	bad     []string
	most    int      // threads at once
	asRoot  []string // other calls than becoming, with root's ids
	became  bool     // it has the caller's ids
	left    bool     // it has begun to leave the caller's session, to be a watcher
	watches bool     // it waits for the caller's end, or has waited
	stale   bool     // its ids have changed since it was made not dumpable
	result  helpertest.Result
	err     error
	came    []fusetest.Line // mounts
	// decide returns the verdict on each call; it may be nil.
	decide func(s helpertest.Syscall) helpertest.Verdict
}

func (o *observation) String() string {
	return fmt.Sprintf("%s\nexit %d, %q\n%s", strings.Join(o.bad, "\n"), o.result.Exit, o.result.Stderr, strings.Join(o.calls, " "))
}

// observe runs the helper once.
func observe(t *testing.T, w *world, m mode, prepare func(*observation)) *observation {
	t.Helper()
	helpertest.NeedIntercept(t)
	o := &observation{mode: m, stale: true}
	if prepare != nil {
		prepare(o)
	}
	if m.mount {
		must(t, w.fuse(w.m, alice))
		if m.dead {
			must(t, w.release(0))
		}
	}
	before, err := w.table()
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), fusetest.Patience)
	defer cancel()
	call := m.call
	call.Prog, call.UID, call.GID, call.Dir = w.program, alice, alice, "/"
	call.Args = append(slices.Clone(m.args), w.m)
	call.Intercept = func(s helpertest.Syscall) helpertest.Verdict {
		if s.Child {
			return helpertest.Continue
		}
		o.before(s)
		if o.decide != nil {
			return o.decide(s)
		}
		return helpertest.Continue
	}
	p, err := call.Start(ctx)
	must(t, err)
	var talked error
	if m.talk != nil {
		talked = m.talk(p)
	}
	o.result = p.Wait()
	must(t, talked, o.result.Err, o.err)
	after, err := w.table()
	must(t, err)
	o.came = after.without(before)
	if len(o.asRoot) > 0 {
		o.bad = append([]string{"made with root's ids: " + strings.Join(o.asRoot, " ")}, o.bad...)
	}
	if !o.became {
		o.bad = append([]string{"it never became its caller"}, o.bad...)
	}
	if o.result.Dev != nil {
		must(t, o.result.Dev.Close())
	}
	must(t, w.clear())
	return o
}

func (o *observation) complain(format string, args ...any) {
	if len(o.bad) < enough {
		o.bad = append(o.bad, fmt.Sprintf(format, args...))
	}
}

// enough is how many complaints of one run are printed.
const enough = 4

// before judges all threads before a call.
func (o *observation) before(s helpertest.Syscall) {
	threads, err := threadsOf(s.PID)
	if err != nil || len(threads) == 0 {
		o.err = errors.Join(o.err, err)
		return
	}
	o.calls = append(o.calls, s.Name)
	o.most = max(o.most, len(threads))
	if !o.became {
		o.became = len(threads[0].excess(0, lendable)) == 0
		if o.became && len(threads) > 1 {
			o.complain("%v: it became its caller when it had %d threads", s, len(threads))
		}
	}
	if !o.became && !becoming[s.Name] {
		o.asRoot = append(o.asRoot, s.Name)
	}
	o.watches = o.watches || o.left && s.Name == "ppoll"
	for _, c := range threads {
		if bad := o.judge(c, s.Name); len(bad) > 0 {
			o.complain("%v, of %d threads: %s", s, len(threads), strings.Join(bad, ", "))
		}
	}
	o.mark(s)
}

// judge complains of privileges that a thread should not have, at a call of the main
// thread.
func (o *observation) judge(c credentials, call string) []string {
	effective, permitted := uint64(0), uint64(lendable)
	switch {
	case c.main && !o.became: // it has one thread, which only changes its credentials
		return nil
	case c.main:
		if bracketed[call] {
			effective = lendable
		}
		if o.writesTables() { // as the tables' owner
			c.uids[3], c.gids[3] = alice, alice
		}
	case o.watches && o.writesTables():
		// The kernel makes the process dumpable for a moment whenever the main thread
		// changes its ids of file access. The permitted capabilities keep its user out of
		// the other threads then.
		permitted &^= 1 << unix.CAP_SYS_ADMIN
	case o.watches:
		permitted = 0
	}
	if becoming[call] || idCalls[call] {
		c.owner = 0 // about to be made not dumpable, which mark checks
	}
	if c.main && o.watches && !o.writesTables() {
		permitted = 1 << unix.CAP_SYS_ADMIN
	}
	return c.excess(effective, permitted)
}

// writesTables reports whether the mode has a line to write to utab.
func (o *observation) writesTables() bool {
	return slices.ContainsFunc(o.mode.args, func(arg string) bool { return strings.Contains(arg, "x-a") }) || o.mode.mount
}

// idCalls are the calls at which the kernel sets the dumpable flag of a process to
// fs.suid_dumpable.
var idCalls = map[string]bool{"setfsuid": true, "setfsgid": true, "setresuid": true, "setresgid": true}

// mark records what a call changes.
func (o *observation) mark(s helpertest.Syscall) {
	const ask = 1<<32 - 1 // an invalid id changes nothing
	switch {
	case idCalls[s.Name] && s.Args[0]&ask != ask && o.changesIDs(s.Name):
		o.stale = true
	case s.Name == "prctl" && s.Args[0] == unix.PR_SET_DUMPABLE && s.Args[1] == 0:
		o.stale = false
	case o.stale && !becoming[s.Name] && !idCalls[s.Name]:
		o.complain("%v: nothing has made it not dumpable since its ids changed", s)
		o.stale = false // reported once
	}
	o.left = o.left || s.Name == "setsid"
}

// changesIDs reports whether a call can change anything, and does not set the same ids
// once more.
func (o *observation) changesIDs(call string) bool {
	return !o.became || strings.HasPrefix(call, "setfs")
}

// worldWithUtab moves the test into a mount namespace of its own, where libmount's
// table exists. The test's thread dies with the test, and the namespace with it.
func worldWithUtab(t *testing.T, program string) *world {
	t.Helper()
	runtime.LockOSThread()
	must(t, os.NewSyscallError("unshare", unix.Unshare(unix.CLONE_NEWNS)), os.MkdirAll("/run/mount", 0o755),
		helpertest.Mount("/run/mount", "tmpfs", 0, "mode=0755"),
		os.WriteFile("/run/mount/utab", nil, 0o644))
	w := newWorld(t)
	w.program = program
	return w
}

// credentials are those of one thread of the helper in /proc.
type credentials struct {
	tid      int
	main     bool
	uids     [4]int // real, effective, saved, and that of file access
	gids     [4]int
	caps     map[string]uint64 // CapInh, CapPrm, CapEff, CapAmb
	noNew    bool              // no_new_privs
	confined bool              // by a seccomp filter
	// owner is the owner of the thread's files in /proc: root, unless the process
	// is dumpable. Of a dumpable one it is the effective user.
	owner uint32
}

// lendable are the capabilities that the helper raises for single calls, and retains for
// that.
const lendable = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID

// threadsOf reads the credentials of all threads of a process, the main one first.
func threadsOf(pid int) (list []credentials, err error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		c, err := credentialsOf(filepath.Join("/proc", strconv.Itoa(pid), "task", e.Name(), "status"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) { // it has ended
			continue
		}
		if err != nil {
			return nil, err
		}
		c.main = c.tid == pid
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b credentials) int { return a.tid - b.tid })
	return list, nil
}

func credentialsOf(path string) (c credentials, err error) {
	f, err := os.Open(path)
	if err != nil {
		return c, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return c, err
	}
	c.owner = info.Sys().(*syscall.Stat_t).Uid
	text := make([]byte, 8192)
	n, err := f.Read(text)
	if err != nil {
		return c, err
	}
	c.caps = map[string]uint64{}
	for line := range strings.Lines(string(text[:n])) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		switch name {
		case "Pid":
			_, err = fmt.Sscan(value, &c.tid)
		case "Uid":
			_, err = fmt.Sscan(value, &c.uids[0], &c.uids[1], &c.uids[2], &c.uids[3])
		case "Gid":
			_, err = fmt.Sscan(value, &c.gids[0], &c.gids[1], &c.gids[2], &c.gids[3])
		case "CapInh", "CapPrm", "CapEff", "CapAmb":
			c.caps[name], err = strconv.ParseUint(value, 16, 64)
		case "NoNewPrivs":
			c.noNew = value == "1"
		case "Seccomp":
			c.confined = value == "2"
		}
		if err != nil {
			return c, fmt.Errorf("%s: %q: %w", path, line, err)
		}
	}
	return c, nil
}

// excess lists what a thread has that no thread of alice's helper may have: another id
// than alice's, or more capabilities than these, effective or permitted.
func (c credentials) excess(effective, permitted uint64) (list []string) {
	complain := func(format string, args ...any) {
		list = append(list, fmt.Sprintf("thread %d: ", c.tid)+fmt.Sprintf(format, args...))
	}
	alices := [4]int{alice, alice, alice, alice}
	if c.uids != alices {
		complain("uids %v", c.uids)
	}
	if c.gids != alices {
		complain("gids %v", c.gids)
	}
	for name, allowed := range map[string]uint64{"CapInh": 0, "CapPrm": permitted, "CapEff": effective, "CapAmb": 0} {
		if more := c.caps[name] &^ allowed; more != 0 {
			complain("%s %#x", name, c.caps[name])
		}
	}
	if !c.noNew {
		complain("no_new_privs is not set")
	}
	if c.owner != 0 {
		complain("is dumpable: its files in /proc belong to %d", c.owner)
	}
	return list
}

// asCaller complains of each thread that has more than a waiting helper may have: no
// effective capability, and only those permitted that it raises for single calls.
func asCaller(pid int) (bad []string, threads int, err error) {
	list, err := threadsOf(pid)
	for _, c := range list {
		bad = append(bad, c.excess(0, lendable)...)
	}
	return bad, len(list), err
}
