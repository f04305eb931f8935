package priv

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/entry"
	"github.com/go-fusermount/fusermount/internal/rawfile"
	"github.com/go-fusermount/fusermount/internal/secure"
	"github.com/go-fusermount/fusermount/internal/signals"
)

// Identity is the result of becoming the caller.
type Identity struct {
	UID, GID uint32      // the caller's real ids, now also effective and saved
	Origin   entry.Start // how the process started; explains which privilege is missing
}

// Become verifies that the process is its caller, and locks it in that state.
//
// In a set-id process package entry did the work before the Go runtime started; here
// every part of it is read back from the kernel. A process that has more privileges than
// its caller and did not begin at that entry point is refused.
//
// Afterwards no capability is effective, and none but Lendable is permitted; an exec can
// neither inherit nor regain any. A root caller keeps the other capabilities.
func Become() (who Identity, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot become the caller: %w", err)
		}
	}()
	if _, err := mainThread(); err != nil {
		return who, err
	}
	if err := entry.Err(); err != nil {
		return who, err
	}
	was, err := Current()
	if err != nil {
		return who, err
	}
	setid, err := verify(was)
	if err != nil {
		return who, err
	}
	origin, changed := entry.AtStart()
	if !changed {
		nnp, err := prctl(unix.PR_GET_NO_NEW_PRIVS, 0)
		if err != nil {
			return who, fmt.Errorf("prctl PR_GET_NO_NEW_PRIVS: %w", err)
		}
		origin = entry.Start{EUID: was.EUID, NoNewPrivs: nnp != 0, Permitted: uint64(was.Permitted)}
	}
	if was.RUID == 0 {
		callerCaps = was.Permitted &^ Lendable
	}
	if err := resetLimits(); err != nil {
		return who, err
	}
	err = setCaps(callerCaps, was.Permitted&Lendable|callerCaps)
	fixed = errors.Is(err, unix.EPERM) && was.RUID == 0 && !changed && was.Effective == was.Permitted
	if err != nil && !fixed {
		return who, err
	}
	// Close the ways back to privilege and into the process. What the entry point has done for
	// all threads is verified only: doing it again here would cover one thread.
	for _, f := range []flag{noNewPrivs, notDumpable} {
		act := f.set
		if setid && was.RUID != 0 {
			act = f.verify
		}
		if err := act(); err != nil {
			return who, err
		}
	}
	_, err = prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL)
	if err != nil && err != unix.EINVAL { // EINVAL: a kernel before 4.3 has no ambient set
		return who, fmt.Errorf("prctl PR_CAP_AMBIENT: %w", err)
	}
	return Identity{UID: was.RUID, GID: was.RGID, Origin: origin}, nil
}

// errNoEntry is for a binary that was linked without package entry's entry point: its
// runtime has started threads with the file owner's privileges.
var errNoEntry = errors.New("this program was built without its entry point, and works with no more rights than its caller has: " +
	"build it with 'make build'")

// verify checks what the entry point left.
func verify(s State) (setid bool, err error) {
	_, setid = entry.AtStart()
	if !entry.Ran() {
		setid = secure.Execution()
		if setid && s.RUID != 0 && (!s.real() || s.Permitted != 0) {
			return setid, errNoEntry
		}
	}
	switch {
	case !s.real():
		return setid, fmt.Errorf("the ids are not all the real ones: %+v", s)
	case setid && s.RUID != 0 && (s.Effective != 0 || s.Inheritable != 0 || s.Permitted&^Lendable != 0):
		return setid, fmt.Errorf("there are capabilities too many: %+v", s)
	}
	// An id without a mapping in this user namespace shows as the overflow id, which may
	// be another user's. These calls change nothing; a sandbox may refuse them.
	for _, call := range []struct {
		name     string
		trap, id uintptr
	}{{"setresgid", entry.Setresgid, uintptr(s.RGID)}, {"setresuid", entry.Setresuid, uintptr(s.RUID)}} {
		if _, _, errno := unix.RawSyscall(call.trap, call.id, call.id, call.id); errno == unix.EINVAL {
			return setid, &entry.Error{Step: call.name, Errno: errno}
		}
	}
	return setid, nil
}

// resetLimits resets limits by which a caller could end the program between the mount and
// its exit (a table would be torn, or the Go runtime would get no thread or no memory),
// blocked signals and the umask. In a set-id process package entry has raised the hard
// limits. SIGXFSZ stays blocked: the caller can lower RLIMIT_FSIZE again at any time, and
// a write beyond it then fails instead of ending the process.
func resetLimits() error {
	for _, limit := range [...]int{unix.RLIMIT_FSIZE, unix.RLIMIT_NPROC, unix.RLIMIT_AS, unix.RLIMIT_DATA} {
		unlimited := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
		if unix.Prlimit(0, limit, &unlimited, nil) == nil {
			continue
		}
		var now unix.Rlimit
		err := unix.Prlimit(0, limit, nil, &now)
		if err == nil {
			now.Cur = now.Max
			err = unix.Prlimit(0, limit, &now, nil)
		}
		if err != nil {
			return fmt.Errorf("prlimit: %w", err)
		}
	}
	if err := signals.Mask(unix.SIG_SETMASK, unix.SIGXFSZ); err != nil {
		return err
	}
	unix.Umask(0o022)
	return nil
}

const (
	// disarmSignal is the one that no thread of the runtime ever blocks. The runtime
	// preempts goroutines with it, which is not needed here.
	disarmSignal  = unix.SIGURG
	disarmTimeout = time.Second
	// disarmRounds are tried in any case: the caller can stop the process meanwhile, and
	// time passes.
	disarmRounds = 1000
	disarmPause  = 20_000 // nanoseconds
)

// Traceable says whether a change of ids, also of those of file access, makes a process traceable
// until it is made not dumpable again: where fs.suid_dumpable is 1, or not known.
func Traceable() bool {
	text, err := rawfile.Text("/proc/sys/fs/suid_dumpable")
	return err != nil || strings.TrimSpace(text) == "1"
}

// RestrictOthers takes all capabilities from the threads of the Go runtime, and verifies
// that. idsChange says that this thread will change the ids of file access: the process may
// then be traceable for a moment through a thread without capabilities, so the others keep
// CAP_SETUID and CAP_SETGID.
//
// Each thread drops its own, in a signal handler. (syscall.AllThreadsSyscall would include
// this thread, and would wait for ever where RLIMIT_SIGPENDING leaves no room.) Without
// /proc the threads are unknown, and keep no more than this one has.
func RestrictOthers(idsChange bool) error {
	left := Set(0)
	if fixed {
		return nil
	}
	if idsChange && Traceable() {
		left = SetUID | SetGID
	}
	self, err := mainThread()
	if err != nil {
		return err
	}
	handler, ok := entry.Disarm(uint64(left))
	if !ok {
		return errors.New("no signal handler for this architecture")
	}
	// This thread is not to be disarmed, whoever sends the signal.
	if err := signals.Mask(unix.SIG_BLOCK, disarmSignal); err != nil {
		return err
	}
	if err := signals.Catch(disarmSignal, handler); err != nil {
		return err
	}
	for deadline, rounds := time.Now().Add(disarmTimeout), 0; ; rounds++ {
		tids, err := threadsAbove(left, self)
		if err != nil || len(tids) == 0 {
			return err
		}
		if rounds >= disarmRounds && time.Now().After(deadline) {
			return nil // as without /proc: an emulator has threads that run none of our code
		}
		for _, tid := range tids {
			if err := unix.Tgkill(self, tid, disarmSignal); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("tgkill: %w", err)
			}
		}
		_ = unix.Nanosleep(&unix.Timespec{Nsec: disarmPause}, nil) // a signal may shorten it
	}
}

// threadsAbove gives the other threads that have more capabilities permitted than left.
func threadsAbove(left Set, self int) (above []int, err error) {
	tids, err := rawfile.Numbers("/proc/self/task")
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("list threads: %w", err)
	}
	for _, tid := range tids {
		if tid == self {
			continue
		}
		_, permitted, _, err := capget(tid)
		switch {
		case errors.Is(err, unix.ESRCH):
		case err != nil:
			return nil, err
		case permitted&^left != 0:
			above = append(above, tid)
		}
	}
	return above, nil
}
