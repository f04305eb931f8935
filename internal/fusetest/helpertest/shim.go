package helpertest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/testsys"
)

const (
	shimEnv    = "FUSETEST_SHIM"
	shimFailed = 125 // the exit status of a shim that could not do its work
)

// shimSpec is what the shim does before it becomes the program. Text is kept as bytes,
// since JSON would change what is not UTF-8.
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
		Keep: c.KeepRoot, UID: int(c.UID), GID: int(c.GID), NoGroups: fusetest.Have() != fusetest.Root,
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

func init() { fusetest.Role(shimEnv, shimMain) }

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

// become changes this thread, and executes the program. What needs root comes first, and
// the filter last, so that it can deny any call but execve.
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

// process sets what needs no privilege.
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

// limits sets the limits that may need root. RLIMIT_NPROC comes later: if it is exceeded
// at the change of the ids, the kernel refuses the execve.
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

// drop sets the caller's ids. CAP_SYS_ADMIN stays effective for the filter; execve drops
// it unless the caller is root.
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

// Denied is a system call that fails in the program and in all its children.
type Denied struct {
	Name  string // one of testsys.SyscallNumber's, or empty
	Nr    uintptr
	Errno unix.Errno
	// Kill ends the process with SIGSYS at the call, in place of an error.
	Kill bool
}

// Deny lists calls that all fail with one error.
func Deny(errno unix.Errno, names ...string) []Denied {
	var list []Denied
	for _, name := range names {
		list = append(list, Denied{Name: name, Errno: errno})
	}
	return slices.Clip(list)
}

// auditArchs are the values of seccomp_data.arch by GOARCH.
var auditArchs = map[string]uint32{
	"amd64": unix.AUDIT_ARCH_X86_64, "386": unix.AUDIT_ARCH_I386,
	"arm64": unix.AUDIT_ARCH_AARCH64, "arm": unix.AUDIT_ARCH_ARM,
	"riscv64": unix.AUDIT_ARCH_RISCV64, "loong64": unix.AUDIT_ARCH_LOONGARCH64,
	"ppc64le": unix.AUDIT_ARCH_PPC64LE, "s390x": unix.AUDIT_ARCH_S390X,
}

// installFilter installs the filter for this thread and the program that it executes.
// Without no_new_privs, which would disable the setuid bit, that needs CAP_SYS_ADMIN.
// Programs of another architecture are not filtered.
func installFilter(prog []unix.SockFilter) error {
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&fprog)))
	runtime.KeepAlive(prog)
	if errno != 0 {
		return os.NewSyscallError("seccomp", errno)
	}
	return nil
}

// The instructions of classic BPF that are used.
const (
	opLoad  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	opEqual = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	opHas   = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
	opRet   = unix.BPF_RET | unix.BPF_K
)

var allow = unix.SockFilter{Code: opRet, K: unix.SECCOMP_RET_ALLOW}

// filterProgram compares the architecture, then one number after the other. Other calls
// are allowed, or sent to a listener unless they are hidden.
func filterProgram(deny []Denied, listen bool, hide []string) ([]unix.SockFilter, error) {
	arch, ok := auditArchs[runtime.GOARCH]
	if !ok {
		return nil, fmt.Errorf("seccomp: no audit architecture known for %s", runtime.GOARCH)
	}
	const nrAt, archAt = 0, 4 // in struct seccomp_data
	prog := []unix.SockFilter{
		{Code: opLoad, K: archAt},
		{Code: opEqual, K: arch, Jt: 1},
		allow,
		{Code: opLoad, K: nrAt},
	}
	for _, d := range deny {
		nr, action, err := d.rule()
		if err != nil {
			return nil, err
		}
		prog = append(prog, unix.SockFilter{Code: opEqual, K: uint32(nr), Jf: 1}, unix.SockFilter{Code: opRet, K: action})
	}
	if !listen {
		return append(prog, allow), nil
	}
	rest, err := listenRules(hide)
	return append(prog, rest...), err
}

// listenRules allows housekeeping, threads and the hidden calls, and sends all others to
// the listener.
func listenRules(hide []string) (prog []unix.SockFilter, err error) {
	hidden := slices.Clone(housekeeping)
	for _, name := range hide {
		nr, err := number(name)
		if err != nil {
			return nil, err
		}
		hidden = append(hidden, nr)
	}
	for _, nr := range hidden {
		prog = append(prog, unix.SockFilter{Code: opEqual, K: uint32(nr), Jf: 1}, allow)
	}
	return append(prog,
		unix.SockFilter{Code: opEqual, K: unix.SYS_CLONE, Jf: 3},
		unix.SockFilter{Code: opLoad, K: cloneFlagsAt()},
		unix.SockFilter{Code: opHas, K: unix.CLONE_THREAD, Jf: 1},
		allow,
		unix.SockFilter{Code: opRet, K: unix.SECCOMP_RET_USER_NOTIF},
	), nil
}

// cloneFlagsAt is the offset of the lower half of clone's flags in struct seccomp_data:
// in the first argument, or the second on s390x.
func cloneFlagsAt() uint32 {
	const argsAt, argBytes = 16, 8
	if runtime.GOARCH == "s390x" {
		return argsAt + argBytes + 4 // big-endian
	}
	return argsAt
}

// rule resolves the name and makes the filter's verdict.
func (d Denied) rule() (nr uintptr, action uint32, err error) {
	nr = d.Nr
	if d.Name != "" {
		if nr, err = number(d.Name); err != nil {
			return 0, 0, err
		}
	}
	if d.Kill {
		return nr, unix.SECCOMP_RET_KILL_PROCESS, nil
	}
	return nr, unix.SECCOMP_RET_ERRNO | uint32(d.Errno)&unix.SECCOMP_RET_DATA, nil
}

func number(name string) (uintptr, error) {
	nr, ok := testsys.SyscallNumber(name)
	if !ok {
		return 0, fmt.Errorf("seccomp: no number known for %q", name)
	}
	return nr, nil
}
