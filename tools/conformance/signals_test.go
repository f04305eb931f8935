package conformance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
	"github.com/go-fusermount/fusermount/internal/fusetest/testsys"
)

// ending are the signals that end the program in every wait.
var ending = []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGTERM, unix.SIGALRM}

// dumping are signals that end it unless it waits in the kernel for a daemon, where they
// are not fatal.
var dumping = []unix.Signal{unix.SIGQUIT, unix.SIGABRT}

var fatal = append(slices.Clone(ending), dumping...)

// sticky is alice's mount with a file and a directory. Its daemon can stop reading
// requests.
type sticky struct {
	*fuseserver.Server
	path    string
	waiting string // the file with the number of unanswered requests
	frozen  chan struct{}
}

func stickyMount(t *testing.T, call helpertest.Call) *sticky {
	t.Helper()
	fusetest.Control(t)
	m := &sticky{path: fusetest.Dir(t, alice), frozen: make(chan struct{})}
	call.Args = []string{m.path}
	r := run(t, call)
	wantMounted(t, r, m.path)
	line, _ := fusetest.FindMount(t, m.path)
	_, number, _ := strings.Cut(line.Device, ":")
	m.waiting = filepath.Join(fusetest.ControlPath, number, "waiting")
	m.Server = fuseserver.Serve(r.Dev, fuseserver.Tree{
		Files: map[string][]byte{"file": []byte("x"), "dir": nil},
		Lies:  map[string]fuseserver.Attr{"": {UID: alice}, "file": {UID: alice}, "dir": {UID: alice, Mode: unix.S_IFDIR | 0o755}},
	})
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	<-m.Ready()
	return m
}

// tick is longer than any kernel's (HZ is 100 at least).
const tick = 30 * time.Millisecond

// freeze stops the daemon, once. The kernel caches earlier answers until its next tick, so it
// waits for that.
func (m *sticky) freeze() {
	m.Freeze()
	close(m.frozen)
	time.Sleep(tick)
}

// await waits until the daemon has stopped and a request waits for it.
func (m *sticky) await(t *testing.T) {
	t.Helper()
	select {
	case <-m.frozen:
	case <-time.After(fusetest.Patience):
		t.Fatal("the program has not come to where the daemon stops")
	}
	for deadline := time.Now().Add(fusetest.Patience); ; time.Sleep(time.Millisecond) {
		text, err := os.ReadFile(m.waiting)
		must(t, err)
		if string(text) != "0\n" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody waits for the daemon")
		}
	}
}

// freezesAt returns an interceptor that stops the daemon right before a system call, which
// is not that of counting connections in a detached fusectl.
func (m *sticky) freezesAt(name string) func(helpertest.Syscall) helpertest.Verdict {
	return func(c helpertest.Syscall) helpertest.Verdict {
		counts := c.Name == "fsmount" && c.Args[2] == unix.MOUNT_ATTR_RDONLY
		if c.Name == name && !counts {
			m.freeze()
		}
		return helpertest.Continue
	}
}

// wantSignalled wants a signal to have ended the program, without output and without a
// device.
func wantSignalled(t *testing.T, p *helpertest.Proc, sig unix.Signal) {
	t.Helper()
	r := p.Wait()
	if r.Signal != sig || r.Stderr != "" || r.NFDs != 0 {
		t.Errorf("exit %d, signal %v, %d descriptors, %q; want %v", r.Exit, r.Signal, r.NFDs, r.Stderr, sig)
	}
}

// wantSame wants the mount table unchanged.
func wantSame(t *testing.T, before []fusetest.Line) {
	t.Helper()
	show := func(lines []fusetest.Line) string { return fmt.Sprintf("%+v", lines) }
	if after := fusetest.Mountinfo(t); show(after) != show(before) {
		t.Errorf("the mounts were %s, and are %s", show(before), show(after))
	}
}

// waysToSend send a signal to the program alone, or to its process group, as a terminal
// does.
var waysToSend = map[string]func(*helpertest.Proc, unix.Signal) error{
	"process": (*helpertest.Proc).Signal,
	"group":   (*helpertest.Proc).SignalGroup,
}

// A signal ends every wait for a hung daemon of the caller.
func TestSignalEndsWait(t *testing.T) {
	for name, args := range map[string][]string{
		"mount on top":             {""},
		"mount inside":             {"/file"},
		"mount through":            {"/dir/m"},
		"sync-init on top":         {"--sync-init", ""},
		"sync-init inside":         {"--sync-init", "/file"},
		"-u inside":                {"-u", "/file"},
		"-u through":               {"-u", "/dir/m"},
		"-u -z inside":             {"-u", "-z", "/file"},
		"-u -z through":            {"-u", "-z", "/dir/m"},
		"--auto-unmount inside":    {"--auto-unmount", "/file"},
		"--auto-unmount through":   {"--auto-unmount", "/dir/m"},
		"mount by mount(2) inside": {"/file"},
	} {
		t.Run(name, func(t *testing.T) {
			call, _ := asUser(t)
			m := stickyMount(t, call)
			m.freeze()
			last := len(args) - 1
			call.Args = append(slices.Clone(args[:last]), m.path+args[last])
			call.Group = true
			if strings.Contains(name, "mount(2)") {
				call.Deny = helpertest.NoFsopen
			}
			for _, sig := range ending {
				for way, send := range waysToSend {
					before := fusetest.Mountinfo(t)
					p := helpertest.Start(t, call)
					m.await(t)
					must(t, send(p, sig))
					wantSignalled(t, p, sig)
					wantSame(t, before)
					if t.Failed() {
						t.Fatalf("%v to the %s", sig, way)
					}
				}
			}
		})
	}
}

// A wait for a daemon that has read the request only ends with the daemon or its
// connection. Then the signal has its effect.
func TestSignalAfterWait(t *testing.T) {
	call, _ := asUser(t)
	m := stickyMount(t, call)
	m.Hang()
	asked := len(m.Asked())
	p := helpertest.Start(t, unmountCall(call, m.path+"/file"))
	m.AwaitAsked(t, asked)
	must(t, p.Signal(unix.SIGTERM))
	must(t, m.Close())
	wantSignalled(t, p, unix.SIGTERM)
}

// The last examination before a mount is attached may wait, too.
func TestSignalEndsLastLook(t *testing.T) {
	for way, at := range map[string]struct {
		call, name string
		deny       []helpertest.Denied
	}{
		"new API":  {"fsmount", "/file", nil},
		"mount(2)": {"fchdir", "/dir", helpertest.NoFsopen},
	} {
		t.Run(way, func(t *testing.T) {
			helpertest.NeedIntercept(t)
			call, _ := asUser(t)
			m := stickyMount(t, call)
			call.Deny, call.Args = at.deny, []string{m.path + at.name}
			call.Intercept = m.freezesAt(at.call)
			before := fusetest.Mountinfo(t)
			p := helpertest.Start(t, call)
			m.await(t)
			must(t, p.Signal(unix.SIGTERM))
			wantSignalled(t, p, unix.SIGTERM)
			wantSame(t, before)
		})
	}
}

// umount2(2) itself asks the daemon in which the mountpoint lies.
func TestSignalEndsUnmountInside(t *testing.T) {
	helpertest.NeedIntercept(t)
	call, _ := asUser(t)
	const others = "SRC=x TARGET=/else ROOT=/ OPTS=x-y\n"
	writeFile(t, "/run/mount/utab", others)
	t.Cleanup(func() { _ = os.RemoveAll("/run/mount") })
	m := stickyMount(t, call)
	inner := m.path + "/file"
	call.Args = []string{"-o", "x-a", inner}
	wantMounted(t, run(t, call), inner)
	wantTable(t, others, 1)
	unmounting := unmountCall(call, inner)
	unmounting.Intercept = m.freezesAt("umount2")
	before := fusetest.Mountinfo(t)
	p := helpertest.Start(t, unmounting)
	m.await(t)
	must(t, p.Signal(unix.SIGINT))
	wantSignalled(t, p, unix.SIGINT)
	wantSame(t, before)
	wantTable(t, others, 1)
}

// When the device cannot be sent, the mount is looked up to be taken back. That waits
// for the daemon in which the mountpoint lies, and a signal ends it. The mount that is
// left has no daemon, and its owner can unmount it.
func TestSignalEndsTakingBack(t *testing.T) {
	helpertest.NeedIntercept(t)
	call, _ := asUser(t)
	m := stickyMount(t, call)
	inner := m.path + "/file"
	call.Args, call.HangUp = []string{inner}, true
	call.Intercept = m.freezesAt("sendmsg")
	p := helpertest.Start(t, call)
	m.await(t)
	must(t, p.Signal(unix.SIGTERM))
	wantSignalled(t, p, unix.SIGTERM)
	m.Resume()
	unmount(t, call, inner)
}

// A signal ends sync-init in every wait, and its child with it.
func TestSignalEndsSyncInit(t *testing.T) {
	for way, send := range waysToSend {
		for _, sig := range fatal {
			t.Run(way+" "+sig.String(), func(t *testing.T) {
				call, mountpoint := syncCall(t, "")
				call.Group = true
				s := startSync(t, call, mountpoint)
				must(t, send(s.Proc, sig))
				wantSignalled(t, s.Proc, sig)
				wantNothing(t, mountpoint)

				s = startSync(t, call, mountpoint)
				s.serve(t, fuseserver.Options{HangBeforeInit: true})
				s.answer(t)
				child := s.waitCreating(t)
				must(t, send(s.Proc, sig))
				wantSignalled(t, s.Proc, sig)
				wantGone(t, child)
				wantNothing(t, mountpoint)
			})
		}
	}
}

// redirected connects one of the program's streams with a full pipe.
func redirected(t *testing.T, call helpertest.Call, stream int) (helpertest.Call, *os.File) {
	t.Helper()
	path := filepath.Join(fusetest.Dir(t, alice), "pipe")
	must(t, unix.Mkfifo(path, 0o600))
	must(t, os.Chown(path, alice, alice))
	pipe, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
	must(t, err)
	t.Cleanup(func() { must(t, pipe.Close()) })
	for n := 0; err == nil; {
		n, err = unix.Write(int(pipe.Fd()), make([]byte, 4096))
		_ = n // the last one fails: the pipe is full
	}
	sh, err := exec.LookPath("sh")
	must(t, err)
	call.Args = append([]string{"-c", fmt.Sprintf(`exec "$@" %d>'%s'`, stream, path), "sh", call.Prog}, call.Args...)
	call.Prog = sh
	return call, pipe
}

// waitIn waits until a program sleeps in a system call.
func waitIn(t *testing.T, p *helpertest.Proc, name string) {
	t.Helper()
	nr, ok := testsys.SyscallNumber(name)
	if !ok {
		t.Fatal(name)
	}
	for deadline := time.Now().Add(fusetest.Patience); ; time.Sleep(time.Millisecond) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", p.Pid()))
		if err == nil && strings.HasPrefix(string(text), fmt.Sprintf("%d ", nr)) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the program is in %s, %v", text, err)
		}
	}
}

// A signal also ends the wait for the reader of its output.
func TestSignalEndsWrite(t *testing.T) {
	for name, c := range map[string]struct {
		args   []string
		stream int
	}{
		"--version": {[]string{"--version"}, 1},
		"an error":  {[]string{"-u", "/nothing/there"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			call, mountpoint := asUser(t)
			call.Socket = helpertest.NoSocket
			call.Args = []string{mountpoint}
			if c.args != nil {
				call.Args = c.args
			}
			call, _ = redirected(t, call, c.stream)
			for _, sig := range fatal {
				p := helpertest.Start(t, call)
				waitIn(t, p, "write")
				must(t, p.Signal(sig))
				wantSignalled(t, p, sig)
			}
		})
	}
}

// A signal that the caller ignores stays ignored, as nohup and shells expect.
func TestSignalsIgnored(t *testing.T) {
	call, _ := asUser(t)
	m := stickyMount(t, call)
	m.freeze()
	call.Args, call.Ignore = []string{m.path}, []unix.Signal{unix.SIGHUP, unix.SIGINT}
	p := helpertest.Start(t, call)
	m.await(t)
	for _, sig := range append(slices.Clone(call.Ignore), unix.SIGTERM) { // the kernel delivers the lowest number first
		must(t, p.Signal(sig))
	}
	wantSignalled(t, p, unix.SIGTERM)
}

// The caller's signal mask does not block a signal.
func TestSignalsBlocked(t *testing.T) {
	call, _ := asUser(t)
	m := stickyMount(t, call)
	m.freeze()
	call.Args, call.Block = []string{m.path}, ending
	for _, sig := range ending {
		p := helpertest.Start(t, call)
		m.await(t)
		must(t, p.Signal(sig))
		wantSignalled(t, p, sig)
	}
}
