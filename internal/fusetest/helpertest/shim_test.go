package helpertest

import (
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

func TestShimDenies(t *testing.T) {
	fusetest.NeedNamespace(t)
	c := probe(t, "errnos")
	c.Deny = []Denied{{Name: "fsopen", Errno: unix.ENOMEM}, {Nr: unix.SYS_STATX, Errno: unix.EINTR}}
	if r := run(t, c); r.Stdout != "12 4\n" {
		t.Errorf("%q", r.Stdout)
	}
	c.Deny = []Denied{{Name: "statx", Kill: true}}
	if r := c.Run(within(t)); r.Signal != unix.SIGSYS || r.Err != nil {
		t.Errorf("%+v", r)
	}
}

// TestShimDeniesUser denies what the shim itself has to call before.
func TestShimDeniesUser(t *testing.T) {
	fusetest.NeedRoot(t)
	c := probe(t, "errnos")
	c.UID, c.GID = 1000, 1000
	c.Deny = Deny(unix.EIO, "setresuid", "setresgid", "prctl", "capset", "statx", "fsopen")
	if r := run(t, c); r.Stdout != "5 5\n" {
		t.Errorf("%q", r.Stdout)
	}
}

func TestShimLimits(t *testing.T) {
	fusetest.NeedRoot(t)
	umask := 0o777
	c := probe(t, "limits")
	c.UID, c.GID, c.Umask = 1000, 1000, &umask
	c.Rlimits = []Rlimit{{unix.RLIMIT_FSIZE, 0}, {unix.RLIMIT_NPROC, 0}, {unix.RLIMIT_NOFILE, 7}}
	c.DropCaps = []int{unix.CAP_SYS_ADMIN}
	r := c.Run(within(t))
	// With no process to spare a Go program may end before main.
	if r.Err != nil || (r.Exit == 0 && r.Stdout != "0 0 7 511 0 <nil>\n") {
		t.Errorf("%+v", r)
	}
	c.Rlimits = c.Rlimits[2:]
	if r := run(t, c); !strings.HasSuffix(r.Stdout, " 7 511 0 <nil>\n") {
		t.Errorf("%+v", r)
	}
}

// TestShimSignals asks a program that is not Go: Go's runtime opens its mask.
func TestShimSignals(t *testing.T) {
	fusetest.NeedNamespace(t)
	r := run(t, Call{
		Prog: "/bin/cat", Args: []string{"/proc/self/status"}, KeepRoot: true,
		Block: []unix.Signal{unix.SIGTERM}, Ignore: []unix.Signal{unix.SIGPIPE},
	})
	// The test may have inherited other signals that are blocked or ignored.
	for _, want := range []struct {
		field string
		sig   unix.Signal
	}{{"SigBlk", unix.SIGTERM}, {"SigIgn", unix.SIGPIPE}} {
		_, value, _ := strings.Cut(r.Stdout, want.field+":\t")
		value, _, _ = strings.Cut(value, "\n")
		mask, err := strconv.ParseUint(value, 16, 64)
		if err != nil || mask&(1<<(want.sig-1)) == 0 {
			t.Errorf("%s is %q, without %v: %v", want.field, value, want.sig, err)
		}
	}
}

func TestShimCloses(t *testing.T) {
	fusetest.NeedNamespace(t)
	c := probe(t, "argv")
	c.CloseFDs = []int{0, 1, 2}
	if r := run(t, c); r.Stdout != "" || r.Stderr != "" {
		t.Errorf("%+v", r)
	}
	c.CloseFDs = []int{77}
	if r := c.Run(within(t)); r.Exit != shimFailed || r.Err == nil {
		t.Errorf("%+v", r)
	}
}
