package races

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// Whenever a process changes its ids, also those of file access, the kernel sets its
// dumpable flag to fs.suid_dumpable. With 1 its user may then attach to each thread that
// has no more capabilities than the user, and so to the memory of all. The setting is for
// the whole machine, so these tests need one of their own.
const (
	guestEnv = "FUSERMOUNT_GUEST_MODULES"
	setting  = "/proc/sys/fs/suid_dumpable"
)

// TestDumpable is TestThreads with each unusual value of the setting, in the modes that
// change ids.
func TestDumpable(t *testing.T) {
	for _, value := range []string{"1", "2"} {
		t.Run(value, func(t *testing.T) {
			program := installInGuest(t, value)
			helpertest.NeedIntercept(t)
			for _, m := range watchedModes {
				if len(m.args) > 0 && strings.Contains(m.args[len(m.args)-1], "x-a") {
					t.Run(m.name, func(t *testing.T) {
						look(t, worldWithUtab(t, program), m)
					})
				}
			}
		})
	}
}

// installInGuest changes the setting and installs the helper.
func installInGuest(t *testing.T, value string) (program string) {
	t.Helper()
	if os.Getenv(guestEnv) == "" {
		t.Skip("changes a setting of the whole machine: run 'make test-vm'")
	}
	was, err := os.ReadFile(setting)
	must(t, err, os.WriteFile(setting, []byte(value), 0))
	t.Cleanup(func() { must(t, os.WriteFile(setting, was, 0)) })
	return helpertest.Install(t)
}

// intrude tries, as the thread's user, to get into a process, or into all of its
// threads: to trace it, to write its memory, to take its descriptors.
func intrude(user *fusetest.Thread, pid int, all bool) (won []string, err error) {
	tids := []int{pid}
	if all {
		threads, err := threadsOf(pid)
		if err != nil {
			return nil, err
		}
		tids = tids[:0]
		for _, c := range threads {
			tids = append(tids, c.tid)
		}
	}
	return won, user.Do(func() error {
		for _, tid := range tids {
			won = append(won, intoThread(pid, tid)...)
		}
		return nil
	})
}

// intoThread makes the calls of [intrude].
func intoThread(pid, tid int) (won []string) {
	for _, way := range []struct {
		name string
		try  func(pid, tid int) error
	}{{"mem", readMem}, {"process_vm_readv", readMemory}, {"pidfd_getfd", stealDescriptor}, {"ptrace", seize}} {
		if way.try(pid, tid) == nil {
			won = append(won, fmt.Sprintf("%s of thread %d", way.name, tid))
		}
	}
	return won
}

// textAddress is where Go's linker puts the program's code on amd64.
const textAddress = 0x400000

func readMem(pid, tid int) error {
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/task/%d/mem", pid, tid), unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	n, err := unix.Pread(fd, make([]byte, 1), textAddress)
	if n == 0 && err == nil { // it is about to end, and has no memory any more
		err = unix.ESRCH
	}
	return errors.Join(err, unix.Close(fd))
}

func readMemory(_, tid int) error {
	buf := make([]byte, 1)
	local := []unix.Iovec{{Base: &buf[0]}}
	local[0].SetLen(1)
	_, err := unix.ProcessVMReadv(tid, local, []unix.RemoteIovec{{Base: textAddress, Len: 1}}, 0)
	return err
}

func stealDescriptor(pid, _ int) error {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	fd, err := unix.PidfdGetfd(pidfd, 0, 0)
	if err == nil {
		err = errors.Join(unix.Close(fd), hasMemory(pid))
	}
	return errors.Join(err, unix.Close(pidfd))
}

// hasMemory returns an error for a process that is about to end, and has released its
// memory. The kernel then no longer checks the dumpable flag, and the process's
// descriptors are accessible for a moment.
func hasMemory(pid int) error {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err == nil && strings.HasPrefix(string(text), "0 ") {
		err = unix.ESRCH
	}
	return err
}

// seize attaches to a thread, and kills the process if it can: a traced process could not
// end without its tracer.
func seize(pid, tid int) error {
	if _, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(tid), 0, 0, 0, 0); errno != 0 {
		return errno
	}
	err := unix.Kill(pid, unix.SIGKILL)
	for err == nil || errors.Is(err, unix.EINTR) {
		_, err = unix.Wait4(tid, nil, unix.WALL, nil)
	}
	return nil
}

// For each value, a user runs the helper this often, and makes at least this many
// attempts.
const (
	runsOfAttached = 15
	leastAttempts  = 200
)

// TestAttached has a user try all the time while the helper runs.
func TestAttached(t *testing.T) {
	for _, value := range []string{"1", "2"} {
		t.Run(value, func(t *testing.T) {
			w := worldWithUtab(t, installInGuest(t, value))
			start := time.Now()
			a := attacker{world: w}
			for i := range runsOfAttached {
				a.run(t, i)
				if a.lost() {
					break
				}
			}
			t.Logf("%d runs, %d attempts in %v", a.runs, a.attempts, time.Since(start).Round(time.Millisecond))
			if a.lost() {
				t.Errorf("run %d: its user is in it: %q", a.runs, a.won)
			} else if a.attempts < leastAttempts {
				t.Errorf("%d attempts are too few", a.attempts)
			}
		})
	}
}

// attacker is a user who tries to get into each helper that they start.
type attacker struct {
	world    *world
	runs     int
	attempts int
	won      []string
}

func (a *attacker) lost() bool { return len(a.won) > 0 }

// run is one run of the helper, in each mode in turn. The device of a mount is closed
// before the next one, which unmounts it.
func (a *attacker) run(t *testing.T, i int) {
	t.Helper()
	ways := []struct {
		args []string
		call helpertest.Call
		talk func(p *helpertest.Proc) error
	}{
		{args: []string{"-o", "x-a"}},
		{args: []string{"-u"}, call: noSocket},
		{args: []string{"-o", "auto_unmount,x-a"}, talk: die},
		{args: []string{"--sync-init", "-o", "x-a"}, talk: answer},
		{args: []string{"-u"}, call: noSocket},
	}
	way := ways[i%len(ways)]
	ctx, cancel := context.WithTimeout(t.Context(), fusetest.Patience)
	defer cancel()
	call := way.call
	call.Prog, call.UID, call.GID, call.Dir, call.Args = a.world.program, alice, alice, "/", append(way.args, a.world.m)
	p, err := call.Start(ctx)
	must(t, err)
	// Until the exec the process shares the memory of this one, which is root's.
	path := fmt.Sprintf("/proc/%d/exe", p.Pid())
	waitFor(t, "the helper runs", func() bool {
		exe, err := os.Readlink(path)
		return err != nil || exe == call.Prog
	})
	var ended atomic.Bool
	tried := make(chan error, 1)
	go func() { tried <- a.try(p.Pid(), &ended) }()
	var talked error
	if way.talk != nil {
		talked = way.talk(p)
	}
	r := p.Wait()
	ended.Store(true)
	must(t, <-tried, talked, r.Err)
	if r.Dev != nil {
		must(t, r.Dev.Close())
	}
	if r.Exit != 0 && !a.lost() {
		t.Fatalf("%s: exit %d, signal %d, %q", strings.Join(way.args, " "), r.Exit, r.Signal, r.Stderr)
	}
	a.runs++
}

// try tries until the process has ended, or its user is in it.
func (a *attacker) try(pid int, ended *atomic.Bool) error {
	for n := 0; !ended.Load() && !a.lost(); n++ {
		won, err := intrude(a.world.here, pid, n%8 == 7)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) { // it has just ended
			continue
		}
		if err != nil {
			return err
		}
		a.attempts++
		a.won = won
	}
	if !a.lost() {
		return nil
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return os.NewSyscallError("kill", err)
	}
	return nil
}
