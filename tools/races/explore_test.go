package races

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
	"github.com/go-fusermount/fusermount/internal/fusetest/testsys"
)

// explore tries an attack at every place of a mode: before each call that could notice
// it, either to stay or to be reversed before each later call. That is every interleaving
// with one exchange and its reverse.
func explore(t *testing.T, program string, m mode, a attack) {
	t.Helper()
	var service *served
	if m.service {
		service = startServed(t)
	}
	w := enter(t, program, service, a)
	quiet := trial{mode: m, attack: a, at: never, backAt: never}
	w = quiet.do(t, w)
	if failed := quiet.result.Exit != 0; failed != m.fails || quiet.act == "" {
		t.Fatalf("left alone, the helper does not do its work: %s", &quiet)
	}
	for at := range quiet.steps {
		stays := trial{mode: m, attack: a, at: at, backAt: never}
		w = stays.do(t, w)
		if a.back == nil {
			continue
		}
		for backAt := at + 1; ; backAt++ {
			returns := trial{mode: m, attack: a, at: at, backAt: backAt}
			w = returns.do(t, w)
			if returns.back.call == "" { // the run was over before
				break
			}
		}
	}
}

// enter makes a world for the attack.
func enter(t *testing.T, program string, service *served, a attack) *world {
	t.Helper()
	w := newWorld(t)
	w.program, w.service = program, service
	if a.setUp != nil {
		must(t, a.setUp(w))
	}
	return w
}

// do makes a trial and judges it. It returns a world for the next one.
func (tr *trial) do(t *testing.T, w *world) *world {
	t.Helper()
	strangers, held := len(w.strangers), len(w.held)
	if tr.mode.mount {
		for range 1 + tr.attack.stack {
			must(t, w.fuse(w.m, alice))
		}
		if tr.mode.dead {
			must(t, w.release(held))
		}
	}
	before, err := w.table()
	must(t, err)
	tr.run(w)
	bad, err := tr.violations(w, before)
	must(t, tr.broken, err)
	if len(bad) > 0 && !tr.known() {
		t.Fatalf("%s\n%s", tr, strings.Join(bad, "\n"))
	}
	tr.count(len(bad) > 0)
	if len(bad) > 0 {
		return enter(t, w.program, w.service, tr.attack)
	}
	if tr.attack.names && tr.strike.call != "" && tr.back.call == "" {
		must(t, tr.attack.back(w))
	}
	w.strangers = w.strangers[:strangers]
	must(t, w.clear(), w.release(held))
	return w
}

// String describes the trial.
func (tr *trial) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s", tr.mode.name, tr.attack.name)
	if tr.strike.call != "" {
		fmt.Fprintf(&b, ": before step %d (%s)", tr.strike.step, tr.strike.call)
	}
	if tr.back.call != "" {
		fmt.Fprintf(&b, ", back before step %d (%s)", tr.back.step, tr.back.call)
	}
	fmt.Fprintf(&b, "\nexit %d, %q\n%s", tr.result.Exit, tr.result.Stderr, strings.Join(tr.steps[:min(len(tr.steps), 100)], " "))
	return b.String()
}

// clear unmounts what is at the mountpoint and on the lures, without the strangers'
// mounts.
func (w *world) clear() error {
	for {
		mounts, err := w.table()
		if err != nil {
			return err
		}
		for _, l := range w.strangers {
			delete(mounts, l.ID)
		}
		path := ""
		for _, l := range mounts {
			if strings.HasPrefix(l.Mountpoint, w.base+"/") {
				path = l.Mountpoint
			}
		}
		if path == "" {
			return nil
		}
		if err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return &os.PathError{Op: "umount", Path: path, Err: err}
		}
	}
}

// release closes all open devices but the first n.
func (w *world) release(n int) error {
	var errs []error
	for _, f := range w.held[n:] {
		errs = append(errs, f.Close())
	}
	w.held = w.held[:n]
	return errors.Join(errs...)
}

// trial is one run of the helper with an attack at one place.
type trial struct {
	mode   mode
	attack attack
	at     int // the step before which it strikes; never: not at all
	backAt int // the step before which it is reversed

	steps   []string // calls that could notice an attack, in order
	last    string   // the last call of all
	leaving bool     // the helper leaves the caller's session, and closes inherited files
	strike  moment
	back    moment
	act     string // the last call by which the helper mounted or unmounted
	acted   bool   // it did so after the strike
	byName  bool   // it unmounted by name, and not by descriptor
	result  helpertest.Result
	broken  error // a failure of the attack itself
}

// moment is the call before which something was done.
type moment struct {
	call string // empty: not done, or the kernel refused it
	step int
}

const never = -1

// acts are the calls that change the mount table.
var acts = map[string]bool{"move_mount": true, "mount": true, "umount2": true}

// run runs the helper, and strikes. After the strike the world only shows the result.
func (tr *trial) run(w *world) {
	ctx, cancel := context.WithTimeout(context.Background(), fusetest.Patience)
	defer cancel()
	call := tr.mode.call
	call.Prog, call.UID, call.GID, call.Dir = w.program, alice, alice, "/"
	call.Args = append(slices.Clone(tr.mode.args), w.m)
	if tr.mode.from != "" {
		// A helper that reads the table as text identifies a mount by an id that is used
		// again, by device, source and options. Alice's mounts in other worlds come and
		// go at the same time: without a unique source, a watcher there whose mount is
		// gone could take this one for it.
		call.Args = append(call.Args, "-o", "fsname="+w.base)
	}
	call.InterceptFrom = "getresuid"
	if tr.mode.from != "" {
		call.InterceptFrom = tr.mode.from
	}
	call.InterceptNot = blind
	call.Intercept = func(s helpertest.Syscall) helpertest.Verdict {
		if !s.Child {
			tr.step(w, s)
		}
		return helpertest.Continue
	}
	if w.service != nil {
		call.Prog, call.Env = w.service.client, []string{"FUSERMOUNT_SOCKET=" + w.service.socket}
		call.Intercept = nil
		w.service.attack(w, tr)
		defer w.service.attack(nil, nil)
	}
	p, err := call.Start(ctx)
	if err != nil {
		tr.broken = err
		return
	}
	var talked error
	if tr.mode.talk != nil {
		talked = tr.mode.talk(p)
	}
	tr.result = p.Wait() // the helper no longer stops: no callback uses the trial
	tr.broken = errors.Join(tr.broken, talked, tr.result.Err)
}

// step is called before each call of the helper.
func (tr *trial) step(w *world, s helpertest.Syscall) {
	if acts[s.Name] {
		tr.act, tr.acted = s.Name, tr.strike.call != ""
		tr.byName = s.Name == "umount2" && !strings.HasPrefix(tr.text(s, 0), "/proc/self/fd/")
	}
	if !tr.notices(w, s) {
		return
	}
	now := moment{s.Name, len(tr.steps)}
	tr.steps = append(tr.steps, s.Name)
	switch now.step {
	case tr.at:
		if tr.attack.strike(w) == nil {
			tr.strike = now
			tr.acted = acts[s.Name]
		}
	case tr.backAt:
		if tr.strike.call != "" {
			tr.broken = errors.Join(tr.broken, tr.attack.back(w))
			tr.back = now
		}
	}
}

// blind are calls whose outcome no attack here can change: on the process itself, on
// sockets, and on contexts of its own. They are not shown.
var blind = slices.DeleteFunc([]string{
	"getpid", "gettid", "getresgid", "setresuid", "setresgid", "capget", "capset", "prctl", "prlimit64", "umask",
	"rt_sigaction", "rt_sigprocmask", "seccomp", "dup3", "fcntl", "getdents64", "socket", "getsockopt", "getpeername", "sendto", "sendmsg",
	"poll", "ppoll", "clock_gettime", "clone", "wait4", "exit_group", "fsopen", "fsconfig", "fsmount", "write",
}, func(name string) bool {
	_, known := testsys.SyscallNumber(name) // some are not on every architecture
	return !known
})

// landmarks are shown all the same: they tell where the helper is.
var landmarks = []string{"getresuid", "setsid", "recvfrom"}

// onDescriptors are calls on open descriptors, which use no name.
var onDescriptors = map[string]bool{
	"close": true, "fstat": true, "fstatfs": true, "faccessat2": true, "fchdir": true, "chdir": true, "statx": true, "listmount": true,
}

// pathOf is the index of the argument with the path.
var pathOf = map[string]int{"openat": 1, "newfstatat": 1, "statfs": 0, "readlinkat": 1, "stat": 0}

// notices reports whether the outcome of a call can depend on the attack. If not, a
// strike before it is the same as one before the next call, and is not tried.
func (tr *trial) notices(w *world, s helpertest.Syscall) bool {
	again := s.Name == "read" && tr.last == "read" // the kernel wrote the text at the first
	tr.last = s.Name
	tr.leaving = (tr.leaving || s.Name == "setsid") && s.Name != "recvfrom"
	if again || tr.leaving || slices.Contains(landmarks, s.Name) || tr.attack.names && onDescriptors[s.Name] {
		return false
	}
	arg, hasPath := pathOf[s.Name]
	if !hasPath {
		return true
	}
	path := tr.text(s, arg)
	return !filepath.IsAbs(path) || strings.HasPrefix(path, w.base) || strings.HasPrefix(path, "/proc/self/fd")
}

func (tr *trial) text(s helpertest.Syscall, arg int) string {
	text, err := s.Text(arg)
	tr.broken = errors.Join(tr.broken, err)
	return text
}
