package mtab

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// childEnv makes this program do one of children's jobs: locks by fcntl belong
// to processes.
const childEnv = "MTAB_TEST_CHILD"

var children = map[string]func() error{"hold": holdLocks, "edit": editTables}

func TestMain(m *testing.M) {
	if job, ok := children[os.Getenv(childEnv)]; ok {
		if err := job(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(fusetest.RunTests(m))
}

// helperProcess is a child that is running.
type helperProcess struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
}

// startChild starts a job and waits until it says that it is ready.
func startChild(t *testing.T, job string, env ...string) *helperProcess {
	t.Helper()
	p := &helperProcess{cmd: exec.Command("/proc/self/exe")}
	p.cmd.Env = append([]string{childEnv + "=" + job}, env...)
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin, p.stdout = stdin, bufio.NewReader(stdout)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := p.stdout.ReadString('\n'); line != "ready\n" {
		t.Errorf("the child says %q, %v", line, err)
	}
	return p
}

// release lets the child go on.
func (p *helperProcess) release(t *testing.T) {
	t.Helper()
	if err := p.stdin.Close(); err != nil {
		t.Error(err)
	}
}

// finish waits for the end of a released child, and checks that it succeeded.
func (p *helperProcess) finish(t *testing.T) {
	t.Helper()
	text, err := io.ReadAll(p.stdout)
	if err != nil || len(text) > 0 {
		t.Errorf("the child says %q, %v", text, err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// untilClosed waits for the test to close standard input.
func untilClosed() error {
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// holdLocks holds the locks of both tables.
func holdLocks() error {
	unlockMtab, err := lockMtab()
	if err != nil {
		return err
	}
	unlockUtab, err := lockUtab()
	if err != nil {
		return err
	}
	if err := untilClosed(); err != nil {
		return err
	}
	if err := unlockUtab(); err != nil {
		return err
	}
	return unlockMtab()
}

// openPath opens as the helper does: pinned, and not followed.
func openPath(path string) (int, error) {
	return unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}
