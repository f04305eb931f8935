package fusetest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Privileges are what the tests may do.
type Privileges int

// The privileges, from the least.
const (
	None          Privileges = iota // no namespace of our own: tests that need one skip
	UserNamespace                   // root over our own mounts, with a single id
	Root                            // the machine's root in a mount namespace of our own
)

// nsEnv says in the environment what was set up: the kind for the process
// that is to set up the stage, the kind and "+ready" for those it starts.
const nsEnv = "FUSETEST_NAMESPACE"

var (
	kinds      = map[string]Privileges{"none": None, "user": UserNamespace, "root": Root}
	privileges = kinds[strings.TrimSuffix(os.Getenv(nsEnv), "+ready")]
	nsRemedy   = "call fusetest.RunTests in TestMain"
)

// The main goroutine keeps the main thread. Otherwise a thread that changed
// its ids (AsUser) could be the main one, which cannot end and shows its ids
// as those of the whole process.
func init() { runtime.LockOSThread() }

// Have returns what the tests may do here.
func Have() Privileges { return privileges }

// RunTests runs a package's tests in namespaces of their own and returns the
// exit status. Call it in TestMain, first of all.
//
// It executes the test binary again: for root in a new mount namespace, for
// others in a new user and mount namespace in which they are uid 0. There it
// sets up the [Stage]. Where the kernel allows no user namespaces the tests run
// as they are, and those that need one skip and say how to change it.
//
// Processes that outlive the tests are killed and make the run fail.
func RunTests(m *testing.M) int { return Run(m.Run) }

// Run is RunTests for a program that is no test.
func Run(body func() int) int {
	MaybeShim()
	kind, ready := strings.CutSuffix(os.Getenv(nsEnv), "+ready")
	switch {
	case ready: // a fuzzing worker, say: the stage is there
		return body()
	case kind == "":
		return enter(body)
	}
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "fusetest: no stage:", err)
		privileges, nsRemedy = None, userNamespaces+err.Error()
		kind = "none"
	}
	if err := os.Setenv(nsEnv, kind+"+ready"); err != nil {
		fmt.Fprintln(os.Stderr, "fusetest:", err)
		return 1
	}
	code := body()
	if left := killChildren(); len(left) > 0 {
		fmt.Fprintln(os.Stderr, "fusetest: processes left behind by the tests:", left)
		return max(code, 1)
	}
	return code
}

// prepare sets up the namespace that this process was started in.
func prepare() error {
	// Those whose parents die become our children, so that none is lost.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl(PR_SET_CHILD_SUBREAPER)", err)
	}
	return setupStage()
}

// enter executes this program again in a new namespace.
func enter(body func() int) int {
	clearSignals()
	cmd, err := startInside()
	if err != nil {
		if os.Geteuid() == 0 { // the remedy for users does not help root
			fmt.Fprintln(os.Stderr, "fusetest: no stage:", err)
		}
		nsRemedy = userNamespaces + err.Error()
		return body()
	}
	stop := forward(cmd.Process)
	err = cmd.Wait()
	stop()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		fmt.Fprintln(os.Stderr, "fusetest:", err)
	}
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return code
	}
	fmt.Fprintln(os.Stderr, "fusetest: the tests ended by", cmd.ProcessState)
	return 2
}

// userNamespaces is the remedy where neither way gives a namespace.
const userNamespaces = "run the tests as root with CAP_SYS_ADMIN, or allow user namespaces " +
	"(sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns=0): "

// startInside starts this program in a new namespace; root without
// CAP_SYS_ADMIN, as in a container, may still have a user namespace.
func startInside() (*exec.Cmd, error) {
	ways := []string{"user"}
	if os.Geteuid() == 0 {
		ways = []string{"root", "user"}
	}
	var all error
	for _, kind := range ways {
		cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
		cmd.Args[0] = os.Args[0]
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		cmd.Env = append(os.Environ(), nsEnv+"="+kind)
		cmd.SysProcAttr = namespaceAttr(kind)
		err := cmd.Start()
		if err == nil {
			return cmd, nil
		}
		all = errors.Join(all, err)
	}
	return nil, all
}

// namespaceAttr asks for the namespaces. The new process dies with this
// thread, which the main goroutine keeps until the end.
func namespaceAttr(kind string) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if kind == "root" {
		attr.Unshareflags = unix.CLONE_NEWNS // also makes all mounts private
		return attr
	}
	attr.Cloneflags = unix.CLONE_NEWUSER | unix.CLONE_NEWNS
	attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	return attr
}

// clearSignals ignores and blocks no signal any more, on the calling thread: programs
// that it starts would inherit what a parent of the tests ignores (nohup: SIGHUP).
func clearSignals() {
	for sig := unix.SIGHUP; sig <= unix.SIGSYS; sig++ {
		var action [8]uintptr // struct sigaction begins with the handler; mips is left as it is
		get := sigaction(sig, nil, &action)
		const ignored = 1 // SIG_IGN
		if get == 0 && action[0] == ignored {
			sigaction(sig, new([8]uintptr), nil) // SIG_DFL
		}
	}
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, new(unix.Sigset_t), nil) // fails only with a wrong argument
}

func sigaction(sig unix.Signal, set, old *[8]uintptr) unix.Errno {
	const maskSize = 8 // bytes
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(set)),
		uintptr(unsafe.Pointer(old)), maskSize, 0, 0)
	return errno
}

// forward hands on the signals by which go test or a user ends a run.
func forward(p *os.Process) (stop func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGQUIT)
	go func() {
		for sig := range signals {
			if err := p.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
				fmt.Fprintln(os.Stderr, "fusetest:", err)
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
	}
}

// killChildren kills the processes that the tests left running, and theirs as
// they come to us, and says which they were. Only our own children are looked
// at; those that had ended already are reaped in silence.
func killChildren() []string {
	var left []string
	seen := make(map[int]bool)
	for {
		pids := children()
		if len(pids) == 0 {
			return left
		}
		for _, pid := range pids {
			if name, alive := describe(pid); alive && !seen[pid] {
				left = append(left, name)
			}
			seen[pid] = true
			if err := endChild(pid); err != nil {
				return append(left, fmt.Sprintf("process %d: %v", pid, err))
			}
		}
	}
}

// endChild kills one child and reaps it.
func endChild(pid int) error {
	if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return os.NewSyscallError("kill", err)
	}
	for {
		_, err := unix.Wait4(pid, nil, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ECHILD):
			return nil
		}
		return os.NewSyscallError("wait4", err)
	}
}

// children lists the children of all our threads.
func children() []int {
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		return nil
	}
	var pids []int
	for _, list := range lists {
		data, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended; its children are another's now
		}
		for _, f := range strings.Fields(string(data)) {
			if pid, err := strconv.Atoi(f); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// describe returns a process's command line, and false for a zombie.
func describe(pid int) (string, bool) {
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(cmdline) == 0 {
		return "", false
	}
	text := bytes.ReplaceAll(bytes.TrimRight(cmdline, "\x00"), []byte{0}, []byte{' '})
	return fmt.Sprintf("%d (%s)", pid, text), true
}
