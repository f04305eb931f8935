package helpertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/testsys"
)

// probeEnv makes the test binary the program that calls run: it prints what it
// finds and exits.
const probeEnv = "FUSETEST_PROBE"

func init() { fusetest.Role(probeEnv, func(name string) { os.Exit(probes[name]()) }) }

var probes = map[string]func() int{
	"ids":    probeIDs,
	"errnos": probeErrnos,
	"limits": probeLimits,
	"sendfd": probeSendFD,
	"block":  probeBlock,
	"argv":   probeArgv,
	"loud":   probeLoud,

	"confined": probeConfined,
	"forks":    probeForks,
}

func probeIDs() int {
	r, e, s := askIDs("getresuid")
	rg, eg, sg := askIDs("getresgid")
	groups, err := unix.Getgroups()
	nnp, nnpErr := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	fmt.Println(r, e, s, rg, eg, sg, groups, err, nnp, nnpErr)
	return 0
}

// askIDs makes getresuid or getresgid by its number: package unix takes, on 386
// and arm, the ones for ids of 16 bits.
func askIDs(name string) (r, e, s uint32) {
	nr, _ := testsys.SyscallNumber(name)
	unix.RawSyscall(nr, uintptr(unsafe.Pointer(&r)), uintptr(unsafe.Pointer(&e)), uintptr(unsafe.Pointer(&s)))
	return r, e, s
}

func probeErrnos() int {
	_, fsopen := unix.Fsopen("tmpfs", 0)
	_, statx := 0, unix.Statx(unix.AT_FDCWD, "/", 0, 0, &unix.Statx_t{})
	fmt.Printf("%d %d\n", errno(fsopen), errno(statx))
	return 0
}

func errno(err error) int {
	var e unix.Errno
	if errors.As(err, &e) {
		return int(e)
	}
	return 0
}

func probeLimits() int {
	var fsize, nproc, nofile unix.Rlimit
	err := errors.Join(unix.Getrlimit(unix.RLIMIT_FSIZE, &fsize),
		unix.Getrlimit(unix.RLIMIT_NPROC, &nproc), unix.Getrlimit(unix.RLIMIT_NOFILE, &nofile))
	umask := unix.Umask(0)
	bounded, boundedErr := unix.PrctlRetInt(unix.PR_CAPBSET_READ, unix.CAP_SYS_ADMIN, 0, 0, 0)
	fmt.Println(fsize.Cur, nproc.Cur, nofile.Max, umask, bounded, errors.Join(err, boundedErr))
	return 0
}

func probeSendFD() int {
	fd := 3
	if _, err := fmt.Sscanf(os.Getenv("_FUSE_COMMFD"), "%d", &fd); err != nil {
		return 2
	}
	if err := unix.Sendmsg(fd, []byte{0}, unix.UnixRights(fd), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL); err != nil {
		fmt.Fprintln(os.Stderr, errno(err))
		return 1
	}
	return 0
}

// probeBlock waits until its socket is at its end.
func probeBlock() int {
	fmt.Println("started")
	if _, err := unix.Read(3, make([]byte, 1)); err != nil {
		return 1
	}
	return 7
}

func probeArgv() int {
	environ, err := os.ReadFile("/proc/self/environ") // os.Environ drops doubles
	fmt.Printf("%q %q\n", os.Args, strings.Split(strings.TrimSuffix(string(environ), "\x00"), "\x00"))
	if err != nil {
		return 1
	}
	return 0
}

func probeLoud() int {
	fmt.Print(strings.Repeat("x", 300<<10))
	fmt.Fprint(os.Stderr, "done")
	return 0
}

// probe returns a call of this test binary, where every user may execute it.
func probe(t *testing.T, name string) Call {
	t.Helper()
	return Call{
		Prog: fusetest.InstallHelper(t, "/proc/self/exe", fusetest.Plain),
		Env:  []string{probeEnv + "=" + name},
	}
}

// within is the time that anything here may take; only a failure takes it.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), fusetest.Patience)
	t.Cleanup(cancel)
	return ctx
}

// run runs a call that must go well.
func run(t *testing.T, c Call) Result {
	t.Helper()
	r := c.Run(within(t))
	if r.Err != nil || r.Exit != 0 {
		t.Fatalf("exit %d, signal %v, error %v, stderr %q", r.Exit, r.Signal, r.Err, r.Stderr)
	}
	return r
}
