package faults

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// These tests are TestFail and TestKill for the workers of the mount service.

// served is a mount service whose workers can be failed at each system call.
type served struct {
	socket  string
	program string // fusermount3 without rights

	mu    sync.Mutex
	at    spot // where the fault comes
	fault *fault
	hit   bool
	begun map[int]bool // workers that have a client, or wait for one
	child int          // the last child of a worker in a user namespace
	calls map[int][]spot
	used  int // the worker that has served last
}

// startServed starts the service under interception.
func startServed(t *testing.T) *served {
	t.Helper()
	s := &served{begun: map[int]bool{}, calls: map[int][]spot{}}
	s.program = fusetest.InstallHelper(t, helpertest.Program(t), fusetest.Plain)
	s.socket = helpertest.StartIntercepted(t, s.decide, "rt_sigaction", "rt_sigprocmask", "mmap", "fcntl")
	return s
}

// decide is asked before each system call of the service and its workers.
func (s *served) decide(c helpertest.Syscall) helpertest.Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.Child {
		return helpertest.Continue
	}
	if _, known := s.begun[c.PID]; !known && c.Name == "prctl" && c.Args[0] == unix.PR_SET_PDEATHSIG {
		s.begun[c.PID], s.child = true, c.PID
	}
	if !s.begun[c.PID] { // its start, until it waits for a client
		s.begun[c.PID] = c.Name == "recvmsg"
		return helpertest.Continue
	}
	if c.PID == s.child {
		if s.fault == nil || !s.fault.parent || s.hit || c.Name != s.at.name {
			return helpertest.Continue
		}
		s.hit = true
		if s.fault.signal != 0 {
			_ = unix.Kill(c.PID, s.fault.signal) // it is there until it is answered
		}
		if s.fault.kills {
			_ = unix.Kill(s.used, unix.SIGKILL) // the worker waits for it
		}
		return s.fault.does
	}
	s.used = c.PID
	n := 1
	for _, before := range s.calls[c.PID] {
		if before.name == c.Name {
			n++
		}
	}
	now := spot{name: c.Name, nth: n}
	s.calls[c.PID] = append(s.calls[c.PID], now)
	if s.fault == nil || s.fault.parent || s.hit || now != s.at {
		return helpertest.Continue
	}
	s.hit = true
	return s.fault.does
}

// arm sets the fault of the next request.
func (s *served) arm(at spot, f *fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at, s.fault, s.hit = at, f, false
}

// last returns the calls of the worker that has served last, and whether the fault happened.
func (s *served) last() (calls []spot, hit bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls[s.used]), s.hit
}

func (s *served) ask(uid uint32, socket helpertest.SocketKind, args ...string) helpertest.Result {
	ctx, cancel := context.WithTimeout(context.Background(), fusetest.Patience)
	defer cancel()
	return helpertest.Call{
		Prog: s.program, UID: uid, GID: uid, Dir: "/", Socket: socket, Args: args, Env: []string{"FUSERMOUNT_SOCKET=" + s.socket},
	}.Run(ctx)
}

// Each system call of a worker fails once, and the worker is killed before each. The client is told,
// nothing is left but a mount that it can unmount, and the next request is served.
func TestServiceFaults(t *testing.T) {
	fusetest.NeedRoot(t)
	s := startServed(t)
	dir := fusetest.Dir(t, alice)
	others, all := fmt.Sprint(otherMounts(t, dir)), slices.Concat(errnos...)
	for _, c := range []struct {
		name string
		args []string
		file bool
	}{{name: "mount"}, {name: "a file", file: true}, {name: "-u", args: unmount}, {name: "-u -z", args: detach}} {
		t.Run(c.name, func(t *testing.T) {
			m := filepath.Join(dir, strings.ReplaceAll(c.name, " ", ""))
			if c.file {
				must(t, os.WriteFile(m, nil, 0o644))
			} else {
				must(t, os.Mkdir(m, 0o755))
			}
			must(t, os.Chown(m, alice, alice))
			args, kind := append(slices.Clone(c.args), m), helpertest.Stream
			if c.args != nil {
				kind = helpertest.NoSocket
			}
			try := func(at spot, f *fault) (hit bool, calls []spot) {
				var held *os.File
				if c.args != nil {
					var err error
					held, err = helpertest.MountUnserved(m, alice)
					must(t, err)
				}
				s.arm(at, f)
				r := s.ask(alice, kind, args...)
				calls, hit = s.last()
				s.arm(spot{}, nil)
				if bad := s.wrong(t, r, m, c.args == nil, f, hit); bad != "" {
					t.Errorf("%v, %+v: %s\nexit %d, %v, %s", at, f, bad, r.Exit, r.Err, r.Stderr)
				}
				must(t, shut(&r.Dev), shut(&held))
				if len(fusetest.MountsAt(t, m)) > 0 {
					if again := s.ask(alice, helpertest.NoSocket, "-u", m); again.Exit != 0 {
						t.Fatalf("%v: -u afterwards: exit %d, %s", at, again.Exit, again.Stderr)
					}
				}
				if now := fmt.Sprint(otherMounts(t, m)); now != others {
					t.Fatalf("%v: other mounts have changed: %s", at, now)
				}
				return hit, calls
			}
			_, spots := try(spot{}, nil)
			missed := 0
			for i, at := range spots {
				errno := all[i%len(all)]
				for _, f := range []fault{
					{name: "SIGKILL", does: helpertest.Kill, kills: true},
					{name: unix.ErrnoName(errno), does: helpertest.Fail(errno), errno: errno},
				} {
					if (at.name == "exit_group" || strings.HasPrefix(at.name, "get")) && !f.kills && at.name != "getsockopt" {
						continue // they never fail, and the Go runtime relies on it
					}
					if hit, _ := try(at, &f); !hit {
						missed++
					}
				}
			}
			t.Logf("%d calls, %d faults did not happen", len(spots), missed)
			if missed > 4*strays {
				t.Errorf("%d faults did not happen", missed)
			}
		})
	}
}

// The child that enters a user namespace fails at each of its calls, is killed or stopped there, as the
// root of that namespace could do. The client is told, the child is gone, and the next request is served.
func TestServiceChildFaults(t *testing.T) {
	fusetest.NeedRoot(t)
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		fusetest.Skip(t, "install util-linux: "+err.Error())
	}
	setns := fmt.Sprintf("syscall %d", unix.SYS_SETNS) // the library's list has no name for it
	s := startServed(t)
	dir := fusetest.Dir(t, alice)
	try := func() helpertest.Result {
		ctx, cancel := context.WithTimeout(context.Background(), fusetest.Patience)
		defer cancel()
		r := helpertest.Call{
			Prog: unshare, UID: alice, GID: alice, Dir: "/", Args: []string{"--user", "--map-current-user", "--mount", s.program, dir},
			Env: []string{"FUSERMOUNT_SOCKET=" + s.socket},
		}.Run(ctx)
		must(t, shut(&r.Dev))
		return r
	}
	for _, name := range []string{"prctl", setns, "getppid", "getsockopt", "openat", "fsopen", "write"} {
		for _, f := range []fault{
			{name: "EPERM", does: helpertest.Fail(unix.EPERM)},
			{name: "SIGKILL", does: helpertest.Kill},
			{name: "SIGSTOP", signal: unix.SIGSTOP},
			{name: "SIGSTOP, and its parent's end,", signal: unix.SIGSTOP, kills: true},
		} {
			if f.signal != 0 && !f.kills && name != setns && name != "write" || f.kills && name == "prctl" {
				continue // each takes five seconds; before that call, the child can outlive its parent
			}
			f.parent = true
			s.arm(spot{name: name}, &f)
			began := time.Now()
			r := try()
			_, hit := s.last()
			s.arm(spot{}, nil)
			if name == "write" && f.signal != 0 && r.Exit == 0 && r.NFDs == 1 { // it was stopped after the call
				r.Exit, r.NFDs, r.Stderr = 1, 0, "\n"
			}
			if !hit || r.Exit != 1 || r.NFDs > 0 || strings.Count(r.Stderr, "\n") < 1 || strings.Contains(r.Stderr, "panic") {
				t.Errorf("%s at %s, which happened: %v: exit %d, %d descriptors, %v, %s", f.name, name, hit, r.Exit, r.NFDs, r.Err, r.Stderr)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("%s at %s took %v", f.name, name, took)
			}
			for alive(s.child) {
				if time.Since(began) > fusetest.Patience {
					t.Fatalf("%s at %s: the child is still there", f.name, name)
				}
				time.Sleep(time.Millisecond)
			}
			if r := try(); r.Exit != 0 || r.NFDs != 1 {
				t.Errorf("after %s at %s: exit %d, %s", f.name, name, r.Exit, r.Stderr)
			}
		}
	}
}

// alive says whether a process is there, and not dead already: this test program inherits orphans, and
// waits for none.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(text), ") Z ")
}

// wrong says what is wrong with the result of a request.
func (s *served) wrong(t *testing.T, r helpertest.Result, m string, mounting bool, f *fault, hit bool) string {
	t.Helper()
	mounted := len(fusetest.MountsAt(t, m)) > 0
	killed := hit && f.kills
	switch {
	case r.Err != nil || r.Exit != 0 && r.Exit != 1:
		return "the client itself"
	case r.Exit == 1 && r.Stderr == "":
		return "no message"
	case r.Exit == 1 && strings.Contains(r.Stderr, "panic"):
		return "a panic"
	case mounting && r.Exit == 0 && (!mounted || r.NFDs != 1):
		return "no mount, or no device"
	case mounting && r.Exit == 1 && !killed && (mounted || r.NFDs > 0):
		return "a mount that the client was not told of"
	case !mounting && r.Exit == 0 && mounted:
		return "still mounted"
	case !hit && r.Exit != 0:
		return "failed without a fault"
	}
	names, err := os.ReadDir(filepath.Dir(m))
	must(t, err)
	for _, name := range names {
		if strings.HasPrefix(name.Name(), ".fuse-") {
			return "a proof is left: " + name.Name()
		}
	}
	return ""
}

// otherMounts are all mounts but those at m.
func otherMounts(t *testing.T, m string) (ids []int) {
	t.Helper()
	for _, l := range fusetest.Mountinfo(t) {
		if l.Mountpoint != m {
			ids = append(ids, l.ID)
		}
	}
	return ids
}
