package helpertest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// intercepted is a call of a probe that shows its calls from the first
// getresuid on: the probes make it, and the Go runtime does not.
func intercepted(t *testing.T, name string, decide func(Syscall) Verdict) Call {
	t.Helper()
	c := probe(t, name)
	c.KeepRoot = true
	c.InterceptFrom, c.Intercept = "getresuid", decide
	return c
}

// shown runs a call that goes its way, and gives the names of what was shown.
func shown(t *testing.T, name string) (names []string) {
	t.Helper()
	calls := 0
	run(t, intercepted(t, name, func(s Syscall) Verdict {
		if s.Index != calls {
			t.Errorf("call %d is the %dth", s.Index, calls)
		}
		calls++
		names = append(names, s.Name)
		return Continue
	}))
	return names
}

func TestInterceptShows(t *testing.T) {
	fusetest.NeedNamespace(t)
	names := shown(t, "ids")
	if len(names) < 5 || !slices.Equal(names[:3], []string{"getresuid", "getresgid", "getgroups"}) || names[len(names)-1] != "exit_group" {
		t.Errorf("%q", names)
	}
	if again := shown(t, "ids"); !slices.Equal(names, again) {
		t.Errorf("first %q\nthen %q", names, again)
	}
}

// TestInterceptWhole has everything shown, from the first call of the program
// on: nothing of the shim.
func TestInterceptWhole(t *testing.T) {
	fusetest.NeedNamespace(t)
	var all []string
	c := intercepted(t, "ids", func(s Syscall) Verdict {
		all = append(all, s.Name)
		return Continue
	})
	c.InterceptFrom = ""
	r := run(t, c)
	if len(all) < 100 || slices.Contains(all, "execve") || all[len(all)-1] != "exit_group" || r.Stdout == "" {
		t.Errorf("%q\n%q", r.Stdout, all)
	}
	t.Logf("%d calls of a whole program in %v", len(all), r.Elapsed)
}

func TestInterceptVerdicts(t *testing.T) {
	fusetest.NeedNamespace(t)
	verdicts := map[string]Verdict{"fsopen": Fail(unix.ENOMEM), "statx": Pretend(0)}
	c := intercepted(t, "errnos", func(s Syscall) Verdict { return verdicts[s.Name] })
	c.InterceptFrom = ""
	if r := run(t, c); r.Stdout != "12 0\n" {
		t.Errorf("%q", r.Stdout)
	}
	verdicts["statx"] = Fail(unix.EINTR)
	c.Deny = Deny(unix.EXDEV, "statx") // outranks
	if r := run(t, c); r.Stdout != "12 18\n" {
		t.Errorf("%q", r.Stdout)
	}
	verdicts["fsopen"] = Kill
	if r := c.Run(within(t)); r.Signal != unix.SIGKILL || r.Err != nil || r.Stdout != "" {
		t.Errorf("%+v", r)
	}
}

// TestInterceptSetuid makes sure that the setuid bit has its effect, and that
// the memory of such a program can be read.
func TestInterceptSetuid(t *testing.T) {
	fusetest.NeedRoot(t)
	long := "/" + strings.Repeat("long/", 800) // crosses a page
	var read []string
	c := intercepted(t, "confined", func(s Syscall) Verdict {
		if s.Name == "openat" {
			text, err := s.Text(1)
			read = append(read, text)
			if err != nil {
				t.Error(err)
			}
		}
		return Continue
	})
	c.Prog = fusetest.InstallHelper(t, "/proc/self/exe", fusetest.Setuid)
	c.KeepRoot, c.UID, c.GID = false, 1000, 1000
	c.Env = append(c.Env, probePathEnv+"="+long)
	if r := run(t, c); r.Stdout != "1000 0 0 1\n" || !slices.Equal(read, []string{long, long}) {
		t.Errorf("%q, read %.100q", r.Stdout, read)
	}
}

const probePathEnv = "FUSETEST_PROBE_PATH"

// probeConfined opens a path, with no_new_privs and a filter of its own the
// second time.
func probeConfined() int {
	r, e, s := askIDs("getresuid")
	path := os.Getenv(probePathEnv)
	_, before := unix.Open(path, unix.O_RDONLY, 0)
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 2
	}
	prog, err := filterProgram(Deny(unix.EPERM, "mount"), false, nil)
	if err != nil || installFilter(prog) != nil || unix.Mount("", "/", "", 0, "") != unix.EPERM {
		return 3
	}
	if _, after := unix.Open(path, unix.O_RDONLY, 0); after != before {
		return 4
	}
	nnp, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	if err != nil {
		return 5
	}
	fmt.Println(r, e, s, nnp)
	return 0
}

// probeForks starts itself once more, which prints its arguments.
func probeForks() int {
	p, err := os.StartProcess("/proc/self/exe", []string{"child"}, &os.ProcAttr{
		Env: []string{probeEnv + "=argv"}, Files: []*os.File{nil, os.Stdout},
	})
	if err != nil {
		fmt.Println(errno(err))
		return 1
	}
	state, err := p.Wait()
	if err != nil {
		return 2
	}
	return state.ExitCode()
}

// TestInterceptChild has the calls of processes that the program forks shown,
// each counted for itself, and the fork, which makes no thread. (The first child
// of a Go program is one by which package os tries out what the kernel can do.)
func TestInterceptChild(t *testing.T) {
	fusetest.NeedNamespace(t)
	counts := map[int]int{}
	var names, children []string
	verdicts := map[string]Verdict{}
	c := intercepted(t, "forks", func(s Syscall) Verdict {
		if s.Index != counts[s.PID] {
			t.Errorf("call %d of its process: %v", counts[s.PID], s)
		}
		counts[s.PID]++
		if !s.Child {
			names = append(names, s.Name)
			return Continue
		}
		children = append(children, s.Name)
		return verdicts[s.Name]
	})
	c.InterceptFrom = ""
	if r := run(t, c); !strings.Contains(r.Stdout, "child") || !slices.Contains(names, "clone") {
		t.Errorf("%q, %q", r.Stdout, names)
	}
	if len(counts) < 2 || !slices.Contains(children, "execve") || children[len(children)-1] != "exit_group" {
		t.Errorf("%d processes, %q", len(counts), children)
	}
	verdicts["execve"] = Fail(unix.EMFILE)
	if r := c.Run(within(t)); r.Err != nil || r.Exit != 1 || r.Stdout != "24\n" {
		t.Errorf("%+v", r)
	}
	verdicts["execve"] = Kill // the child alone
	if r := c.Run(within(t)); r.Err != nil || r.Signal != 0 {
		t.Errorf("%+v", r)
	}
}

func TestInterceptNot(t *testing.T) {
	fusetest.NeedNamespace(t)
	c := intercepted(t, "ids", func(s Syscall) Verdict {
		if s.Name == "prctl" || s.Name == "write" {
			t.Error("shown:", s)
		}
		return Continue
	})
	c.InterceptNot = []string{"prctl", "write"}
	if r := run(t, c); r.Stdout == "" {
		t.Errorf("%+v", r)
	}
	c.InterceptNot = []string{"nosuchcall"}
	if r := c.Run(within(t)); r.Err == nil || r.Exit != shimFailed {
		t.Errorf("%+v", r)
	}
}

func TestInterceptFails(t *testing.T) {
	fusetest.NeedNamespace(t)
	unexpected := func(s Syscall) Verdict {
		t.Error("shown:", s)
		return Continue
	}
	c := intercepted(t, "ids", unexpected)
	c.Prog, c.InterceptFrom = "/no/such/program", ""
	if r := c.Run(within(t)); r.Err == nil || r.Exit != shimFailed {
		t.Errorf("%+v", r)
	}
	c = intercepted(t, "ids", unexpected)
	c.InterceptFrom = "nosuchcall"
	if r := c.Run(within(t)); r.Err == nil {
		t.Errorf("%+v", r)
	}
}
