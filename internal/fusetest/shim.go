package fusetest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest/testsys"
)

const (
	shimEnv    = "FUSETEST_SHIM"
	shimFailed = 125 // the exit status of a shim that could not do its work
)

// shimSpec is what the shim does before it becomes the program. Text is kept as
// bytes, since JSON would mend what is not UTF-8.
type shimSpec struct {
	Prog       []byte
	Argv, Env  [][]byte
	Keep       bool
	UID, GID   int
	Groups     []int
	NoGroups   bool
	Deny       []Denied
	Control    int // the socket that wants a listener; 0: none does
	Hide       []string
	Rlimits    []Rlimit
	Block      []unix.Signal
	Ignore     []unix.Signal
	CloseFDs   []int
	DropCaps   []int
	Umask      *int
	NoNewPrivs bool
}

func (c Call) shimSpec() shimSpec {
	s := shimSpec{
		Prog: []byte(c.Prog), Argv: toBytes(c.argv()), Env: toBytes(c.environ()),
		Keep: c.KeepRoot, UID: int(c.UID), GID: int(c.GID), NoGroups: Have() != Root,
		Deny: c.Deny, Hide: c.InterceptNot, Rlimits: c.Rlimits, Block: c.Block, Ignore: c.Ignore,
		CloseFDs: c.CloseFDs, DropCaps: c.DropCaps, Umask: c.Umask, NoNewPrivs: c.NoNewPrivs,
	}
	for _, g := range c.Groups {
		s.Groups = append(s.Groups, int(g))
	}
	return s
}

func (s shimSpec) encode() (string, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("shim: %w", err)
	}
	return string(b), nil
}

func init() { Role(shimEnv, shimMain) }

// shimMain is the process that becomes the program of a [Call].
func shimMain(value string) {
	var s shimSpec
	err := json.Unmarshal([]byte(value), &s)
	if err == nil {
		err = s.become()
	}
	fmt.Fprintln(os.Stderr, "fusetest shim:", err)
	os.Exit(shimFailed)
}

// become changes this thread, and lets it execute the program. The order
// matters: what needs root first, the filter last, so that it can deny any
// call but execve.
func (s shimSpec) become() error {
	runtime.LockOSThread()
	steps := []func() error{s.process, s.limits, s.drop, s.lateLimits, s.closeAll, s.filter}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return os.NewSyscallError("execve", unix.Exec(string(s.Prog), toStrings(s.Argv), toStrings(s.Env)))
}

// process sets what every process may set for itself.
func (s shimSpec) process() error {
	for _, sig := range s.Ignore {
		signal.Ignore(sig)
	}
	if s.Umask != nil {
		unix.Umask(*s.Umask)
	}
	if s.NoNewPrivs {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return os.NewSyscallError("prctl(PR_SET_NO_NEW_PRIVS)", err)
		}
	}
	for _, c := range s.DropCaps {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil {
			return os.NewSyscallError("prctl(PR_CAPBSET_DROP)", err)
		}
	}
	set := testsys.Sigset(s.Block...)
	return os.NewSyscallError("rt_sigprocmask", unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil))
}

// limits sets the limits that may need root. RLIMIT_NPROC is not among them:
// the kernel would remember at the change of the ids that it is exceeded, and
// refuse the execve.
func (s shimSpec) limits() error {
	return setLimits(slices.DeleteFunc(slices.Clone(s.Rlimits), isNproc))
}

func (s shimSpec) lateLimits() error {
	return setLimits(slices.DeleteFunc(slices.Clone(s.Rlimits), func(l Rlimit) bool { return !isNproc(l) }))
}

func isNproc(l Rlimit) bool { return l.Resource == unix.RLIMIT_NPROC }

func setLimits(limits []Rlimit) error {
	for _, l := range limits {
		if err := unix.Prlimit(0, l.Resource, &unix.Rlimit{Cur: l.Value, Max: l.Value}, nil); err != nil {
			return fmt.Errorf("resource limit %d: %w", l.Resource, err)
		}
	}
	return nil
}

// drop takes the caller's ids. CAP_SYS_ADMIN stays effective for the filter;
// execve takes it away from everyone but root.
func (s shimSpec) drop() error {
	if s.Keep {
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl(PR_SET_KEEPCAPS)", err)
	}
	if err := testsys.SetThreadIDs(s.UID, s.GID, s.Groups, s.NoGroups); err != nil {
		return err
	}
	if s.UID == 0 || (len(s.Deny) == 0 && s.Control == 0) {
		return nil
	}
	return testsys.KeepOnlySysAdmin()
}

func (s shimSpec) closeAll() error {
	for _, fd := range s.CloseFDs {
		if err := unix.Close(fd); err != nil {
			return fmt.Errorf("close descriptor %d: %w", fd, err)
		}
	}
	return nil
}

func (s shimSpec) filter() error {
	if len(s.Deny) == 0 && s.Control == 0 {
		return nil
	}
	prog, err := filterProgram(s.Deny, s.Control != 0, s.Hide)
	if err != nil {
		return err
	}
	if s.Control == 0 {
		return installFilter(prog)
	}
	unix.CloseOnExec(s.Control)
	return installListener(prog, s.Control)
}

func toBytes(list []string) [][]byte {
	out := make([][]byte, len(list))
	for i, v := range list {
		out[i] = []byte(v)
	}
	return out
}

func toStrings(list [][]byte) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}
