package priv

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/entry"
	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// Credentials can be given up only once, so each scenario runs in a child: this program
// again, before it does anything else, on its main thread (fusetest keeps the main
// goroutine there).
const (
	scenarioEnv = "PRIV_TEST_SCENARIO"
	dirEnv      = "PRIV_TEST_DIR"
)

const (
	user  = 4242
	group = 4343
)

func TestMain(m *testing.M) {
	if name := os.Getenv(scenarioEnv); name != "" {
		os.Exit(child(scenarios[name]))
	}
	os.Exit(fusetest.RunTests(m))
}

// check is a scenario's report.
type check struct{ failed bool }

func (c *check) errorf(format string, args ...any) {
	c.failed = true
	fmt.Printf(format+"\n", args...)
}

func (c *check) noError(what string, err error) {
	if err != nil {
		c.errorf("%s: %v", what, err)
	}
}

func child(scenario func(*check)) int {
	c := &check{}
	scenario(c)
	fmt.Println("done")
	if c.failed {
		return 1
	}
	return 0
}

// A scenario is one way in which the helper can be started.
func TestScenarios(t *testing.T) {
	fusetest.NeedRoot(t)
	for name := range scenarios {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = []string{scenarioEnv + "=" + name, dirEnv + "=" + fusetest.Dir(t, 0)}
			out, err := cmd.CombinedOutput()
			if err != nil || string(out) != "done\n" {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// likeUser gives this thread the ids of a user and, as that user's own, capabilities
// in every set. Processes that are set-id are for package entry to test.
func likeUser(c *check) {
	setThread(c, entry.Setresgid, group)
	c.noError("keepcaps", unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0))
	setThread(c, entry.Setresuid, user)
}

func raiseAmbient(capability uintptr) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, capability, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func setThread(c *check, trap, id uintptr) {
	if _, _, errno := unix.RawSyscall(trap, id, id, id); errno != 0 {
		c.errorf("set ids: %v", errno)
	}
}

// setIDs tries to become root.
func setIDs(trap uintptr) error {
	if _, _, errno := unix.RawSyscall(trap, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// become is Become by a process that has no more of Lendable than keep, in every
// set.
func become(c *check, keep Set) Identity {
	_, permitted, _, err := capget(0)
	c.noError("capget", err)
	permitted &^= Lendable &^ keep
	c.noError("capset", capset(permitted, permitted, permitted))
	if permitted&SysAdmin != 0 {
		c.noError("ambient", raiseAmbient(unix.CAP_SYS_ADMIN))
	}
	who, err := Become()
	c.noError("Become", err)
	return who
}

// status is /proc/thread-self/status, which package priv does not read.
func status(c *check) map[string]string {
	file, err := os.Open("/proc/thread-self/status")
	if err != nil {
		c.errorf("status: %v", err)
		return nil
	}
	defer file.Close()
	fields := map[string]string{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		fields[name] = strings.Join(strings.Fields(value), " ")
	}
	return fields
}

// want compares fields of the status.
func (c *check) want(what string, want map[string]string) {
	got := status(c)
	for name, value := range want {
		if got[name] != value {
			c.errorf("%s: %s is %q; want %q", what, name, got[name], value)
		}
	}
}

func hex(s Set) string { return fmt.Sprintf("%016x", uint64(s)) }

// idle is the state between two brackets.
func idle(permitted Set) map[string]string {
	ids := func(id int) string { return strings.TrimSpace(strings.Repeat(strconv.Itoa(id)+" ", 4)) }
	return map[string]string{
		"Uid": ids(user), "Gid": ids(group),
		"CapEff": hex(0), "CapPrm": hex(permitted), "CapInh": hex(0), "CapAmb": hex(0),
		"NoNewPrivs": "1",
	}
}

func dumpable() uintptr {
	got, _, _ := unix.RawSyscall6(unix.SYS_PRCTL, unix.PR_GET_DUMPABLE, 0, 0, 0, 0, 0)
	return got
}

// wantOwner checks a file's owner.
func (c *check) wantOwner(path string, uid, gid uint32) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		c.errorf("%s: %v", path, err)
		return
	}
	if st.Uid != uid || st.Gid != gid {
		c.errorf("%s belongs to %d:%d; want %d:%d", path, st.Uid, st.Gid, uid, gid)
	}
}

func create(path string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func stage(name string) string { return filepath.Join(os.Getenv(dirEnv), name) }

func (c *check) wantErrno(what string, err error, want unix.Errno) {
	if !errors.Is(err, want) {
		c.errorf("%s: %v; want %v", what, err, want)
	}
}
