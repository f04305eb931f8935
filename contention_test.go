//go:build linux

package fusermount_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
)

// contenders mount at one place at once.
const contenders = 10

// contests is how often they do: less where another Go or processor is tried.
func contests() int {
	if testing.Short() {
		return 20
	}
	return 200
}

// Of many mounts of a user's at one place, those that are had are there, and those that
// failed are not.
func TestContention(t *testing.T) {
	helper := ours(t)
	fusetest.NeedRoot(t)
	dir := fusetest.Dir(t, user)
	check := wantNoLeak(t)
	for round := range contests() {
		var all sync.WaitGroup
		mounts := make([]*fusermount.Mounted, contenders)
		for i := range mounts {
			all.Add(1)
			go func() {
				defer all.Done()

				err := as(user, func() (err error) {
					mounts[i], err = fusermount.Mount(within(t), dir, &fusermount.Options{Helper: helper})
					return err
				})
				if err != nil {
					wantTakenBack(t, err)
				} else if _, err := fuseserver.ServeHere(mounts[i].File(), hello); err != nil {
					t.Error(err)
				}
			}()
		}
		all.Wait()
		ids, lines := 0, fusetest.MountsAt(t, dir)
		for _, m := range mounts {
			if m != nil {
				ids++
			}
		}
		if ids != len(lines) {
			t.Fatalf("round %d: %d have a mount, and there are %d", round, ids, len(lines))
		}
		for range mounts { // those on top first
			for _, m := range mounts {
				if m == nil {
					continue
				}
				if err := as(user, m.Close); err != nil && !errors.Is(err, fusermount.ErrCovered) {
					t.Error(err)
				}
			}
		}
		wantNothing(t, dir)
	}
	check()
}

// wantTakenBack wants an error that says that somebody else was faster, and no more.
func wantTakenBack(t *testing.T, err error) {
	if strings.Contains(err.Error(), "taken back:") {
		t.Errorf("%v", err)
	}
	var e *fusermount.Error
	if !errors.As(err, &e) {
		t.Errorf("%v is no *Error", err)
	}
}

// contend mounts and unmounts as its input says, and answers each line with one:
// DIRECTORY HELPER.
func contend(args []string) error {
	var m *fusermount.Mounted
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var err error
		switch lines.Text() {
		case "mount":
			if m, err = fusermount.Mount(ctxOfJob(), args[0], &fusermount.Options{Helper: args[1]}); err == nil {
				if _, err = fuseserver.ServeHere(m.File(), hello); err == nil {
					err = errors.New("mounted")
				}
			}
		case "close":
			if m != nil {
				err = m.Close()
			}
			if err == nil {
				m = nil
			}
		}
		if _, err := fmt.Println(err); err != nil {
			return err
		}
	}
	return lines.Err()
}

func init() { jobs["contend"] = contend }

// contender is a process that contends.
type contender struct {
	in  io.Writer
	out *bufio.Scanner
}

func (c contender) ask(t *testing.T, what string) (answer string) {
	t.Helper()
	if _, err := io.WriteString(c.in, what+"\n"); err != nil {
		t.Fatal(err)
	}
	if !c.out.Scan() {
		t.Fatalf("no answer to %s: %v", what, c.out.Err())
	}
	return c.out.Text()
}

// The same by processes of their own.
func TestContentionOfProcesses(t *testing.T) {
	helper := ours(t)
	fusetest.NeedRoot(t)
	dir := fusetest.Dir(t, user)
	all := make([]contender, contenders)
	for i := range all {
		all[i] = startContender(t, dir, helper)
	}
	for round := range contests() {
		var answered sync.WaitGroup
		answers := make([]string, contenders)
		for i, c := range all {
			answered.Add(1)
			go func() {
				defer answered.Done()
				answers[i] = c.ask(t, "mount")
			}()
		}
		answered.Wait()
		mounted := 0
		for _, answer := range answers {
			if answer == "mounted" {
				mounted++
			} else if strings.Contains(answer, "taken back:") {
				t.Error(answer)
			}
		}
		if lines := fusetest.MountsAt(t, dir); len(lines) != mounted {
			t.Fatalf("round %d: %d have a mount, and there are %d: %q", round, mounted, len(lines), answers)
		}
		for range all {
			for _, c := range all {
				if answer := c.ask(t, "close"); answer != "<nil>" && !strings.Contains(answer, "on top") {
					t.Error(answer)
				}
			}
			if mounted--; mounted <= 0 {
				break
			}
		}
		wantNothing(t, dir)
	}
}

func startContender(t *testing.T, dir, helper string) contender {
	t.Helper()
	call := jobCall(t, user, "contend", dir, helper)
	cmd := exec.CommandContext(t.Context(), call.Prog, call.Args...)
	cmd.Env, cmd.Dir, cmd.Stderr = call.Env, "/", os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(in.Close(), cmd.Wait()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return contender{in, bufio.NewScanner(out)}
}
