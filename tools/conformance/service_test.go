package conformance

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
	"github.com/go-fusermount/fusermount/internal/wire"
)

// These tests ask the mount service (cmd/fusermountd) as its clients do: with fusermount3 without any
// rights, or with messages of their own.

// asServed is asUser for a helper without rights that asks a service.
func asServed(t *testing.T, args ...string) (call helpertest.Call, mountpoint string, service *helpertest.Service) {
	t.Helper()
	service = helpertest.StartService(t, args...)
	call, mountpoint = asUser(t)
	call.Prog = fusetest.InstallHelper(t, helperProgram(t), fusetest.Plain)
	call.Env = []string{"FUSERMOUNT_SOCKET=" + service.Socket}
	return call, mountpoint, service
}

// stranger is a client that writes its messages itself.
type stranger struct {
	t      *testing.T
	socket int
	hello  wire.Hello
}

func connect(t *testing.T, service *helpertest.Service) *stranger {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	must(t, fusetest.AsUser(alice, alice, func() error { return unix.Connect(fd, &unix.SockaddrUnix{Name: service.Socket}) }))
	return &stranger{t: t, socket: fd}
}

func (s *stranger) read() []byte {
	s.t.Helper()
	limit := unix.NsecToTimeval(int64(fusetest.Patience))
	must(s.t, unix.SetsockoptTimeval(s.socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit))
	buf := make([]byte, wire.MaxReply)
	n, err := unix.Read(s.socket, buf)
	must(s.t, err)
	return buf[:n]
}

func (s *stranger) greet() *stranger {
	s.t.Helper()
	var err error
	s.hello, err = wire.ParseHello(s.read())
	must(s.t, err)
	return s
}

// ask sends a message, and returns the reply.
func (s *stranger) ask(message []byte, fds ...int) wire.Reply {
	s.t.Helper()
	must(s.t, unix.Sendmsg(s.socket, message, unix.UnixRights(fds...), nil, 0))
	r, err := wire.ParseReply(s.read())
	must(s.t, err)
	return r
}

func openedFD(t *testing.T, path string, flags int) int {
	t.Helper()
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

// Messages, descriptors and claims of strangers are refused, each in words, and nothing is mounted.
func TestServiceStrangers(t *testing.T) {
	call, mountpoint, service := asServed(t)
	other := fusetest.Dir(t, alice)
	dir, name := filepath.Split(mountpoint)
	parent := openedFD(t, dir, unix.O_PATH)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { _ = errors.Join(unix.Close(pair[0]), unix.Close(pair[1])) })
	file := filepath.Join(other, "file")
	must(t, os.WriteFile(file, nil, 0o644), os.Chown(file, alice, alice), os.WriteFile(file+"2", nil, 0o644))
	mount := func(path string) []byte {
		r := wire.Request{Op: wire.Mount, Name: filepath.Base(path), Path: path}
		return r.Append(nil)
	}
	proof := func(s *stranger, dir string) string {
		path := filepath.Join(dir, s.hello.Nonce.Name())
		must(t, os.WriteFile(path, nil, 0o600))
		t.Cleanup(func() { _ = os.Remove(path) })
		return path
	}
	inOther := openedFD(t, other, unix.O_PATH)
	const unproven = "user has no write access to mountpoint "
	for what, c := range map[string]struct {
		ask  func(s *stranger) wire.Reply
		text string
	}{
		"nothing":        {func(s *stranger) wire.Reply { return s.ask([]byte{0}) }, "malformed message"},
		"noise":          {func(s *stranger) wire.Reply { return s.ask([]byte(strings.Repeat("x", 100))) }, "malformed message"},
		"too much":       {func(s *stranger) wire.Reply { return s.ask(make([]byte, wire.MaxMessage)) }, "malformed message"},
		"far too much":   {func(s *stranger) wire.Reply { return s.ask(make([]byte, 100_000)) }, "malformed message"},
		"no descriptors": {func(s *stranger) wire.Reply { return s.ask(mount(mountpoint)) }, "0 descriptors"},
		"one descriptor": {func(s *stranger) wire.Reply { return s.ask(mount(mountpoint), parent) }, "1 descriptors"},
		"too many":       {func(s *stranger) wire.Reply { return s.ask(mount(mountpoint), slices.Repeat([]int{parent}, 100)...) }, "malformed message"},
		"no comm socket": {func(s *stranger) wire.Reply { return s.ask(mount(mountpoint), parent, parent) }, "is not a socket"},
		"no directory":   {func(s *stranger) wire.Reply { return s.ask(mount(mountpoint), openedFD(t, file, unix.O_PATH), pair[1]) }, "Not a directory"},
		"no proof":       {func(s *stranger) wire.Reply { return s.ask(mount(mountpoint), parent, pair[1]) }, unproven},
		"another's proof": {func(s *stranger) wire.Reply {
			proof(s, mountpoint+"/..")
			return s.ask(mount(mountpoint), parent, pair[1])
		}, unproven},
		"an old proof": {func(s *stranger) wire.Reply {
			must(t, os.Remove(proof(s, mountpoint)))
			return s.ask(mount(mountpoint), parent, pair[1])
		}, unproven},
		"no file": {func(s *stranger) wire.Reply { return s.ask(mount(file), inOther, pair[1]) }, unproven},
		"a file to read": {func(s *stranger) wire.Reply {
			return s.ask(mount(file), inOther, pair[1], openedFD(t, file, unix.O_RDONLY))
		}, unproven},
		"a path": {func(s *stranger) wire.Reply {
			return s.ask(mount(file), inOther, pair[1], openedFD(t, file, unix.O_PATH))
		}, unproven},
		"another file": {func(s *stranger) wire.Reply {
			return s.ask(mount(file), inOther, pair[1], openedFD(t, file+"2", unix.O_RDWR))
		}, unproven},
		"root's file": {func(s *stranger) wire.Reply {
			return s.ask(mount(file+"2"), inOther, pair[1], openedFD(t, file+"2", unix.O_RDWR))
		}, unproven},
		"root's directory": {func(s *stranger) wire.Reply {
			proof(s, dir)
			return s.ask(mount(dir), openedFD(t, filepath.Dir(filepath.Clean(dir)), unix.O_PATH), pair[1])
		}, unproven},
		"the directory itself": {func(s *stranger) wire.Reply {
			r := wire.Request{Op: wire.Unmount, Name: "."}
			return s.ask(r.Append(nil), openedFD(t, mountpoint, unix.O_PATH))
		}, "malformed message"},
		"a longer path": {func(s *stranger) wire.Reply {
			r := wire.Request{Op: wire.Unmount, Name: "../" + name}
			return s.ask(r.Append(nil), openedFD(t, mountpoint, unix.O_PATH))
		}, "malformed message"},
		"nothing to unmount": {func(s *stranger) wire.Reply {
			r := wire.Request{Op: wire.Unmount, Name: name}
			return s.ask(r.Append(nil), parent)
		}, "not found in /etc/mtab"},
		"nothing to watch": {func(s *stranger) wire.Reply {
			r := wire.Request{Op: wire.Watch, Name: name}
			return s.ask(r.Append(nil), parent, pair[1])
		}, "not found in /etc/mtab"},
	} {
		r := c.ask(connect(t, service).greet())
		if r.Errno == 0 || !strings.Contains(r.Text, c.text) {
			t.Errorf("%s: %+v, want %q", what, r, c.text)
		}
		wantNothing(t, mountpoint)
		wantNothing(t, file)
	}
	r := run(t, call)
	wantMounted(t, r, mountpoint)
	unmount(t, call, mountpoint)
}

// A directory of another mount namespace is no mountpoint, though the client has it open.
func TestServiceForeignDirectory(t *testing.T) {
	_, mountpoint, service := asServed(t)
	parent := -1
	over, opened := make(chan struct{}), make(chan error)
	defer close(over)
	go func() {
		runtime.LockOSThread() // it ends with its thread, and so does the namespace
		err := unix.Unshare(unix.CLONE_NEWNS)
		if err == nil {
			parent, err = unix.Open(filepath.Dir(mountpoint), unix.O_PATH|unix.O_CLOEXEC, 0)
		}
		opened <- err
		<-over
	}()
	must(t, <-opened)
	defer unix.Close(parent)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	s := connect(t, service).greet()
	proof := filepath.Join(mountpoint, s.hello.Nonce.Name())
	must(t, os.WriteFile(proof, nil, 0o600))
	request := wire.Request{Op: wire.Mount, Name: filepath.Base(mountpoint), Path: mountpoint}
	if r := s.ask(request.Append(nil), parent, pair[1]); r.Errno == 0 || !strings.Contains(r.Text, "outside of this mount namespace") {
		t.Errorf("%+v", r)
	}
	wantNothing(t, mountpoint)
}

// Who connects and says nothing keeps nobody else waiting, and is told.
func TestServiceSilent(t *testing.T) {
	call, _, service := asServed(t, "--max-requests", "4", "--max-requests-per-user", "2")
	call.UID, call.GID = bob, bob
	mountpoint := fusetest.Dir(t, bob)
	call.Args = []string{mountpoint}
	var silent []*stranger
	for range 20 {
		silent = append(silent, connect(t, service))
	}
	mounted := run(t, call)
	wantMounted(t, mounted, mountpoint)
	if mounted.Elapsed > 4*time.Second {
		t.Errorf("bob has waited %v for alice", mounted.Elapsed)
	}
	unmount(t, call, mountpoint)
	r, err := wire.ParseReply(silent[0].greet().read())
	must(t, err)
	if r.Errno != uint32(unix.EPROTO) || r.Text != "no request has arrived" {
		t.Errorf("%+v", r)
	}
}

// The root of a container is an ordinary user to the service.
func TestServiceRoot(t *testing.T) {
	call, mountpoint, _ := asServed(t)
	dir := fusetest.Dir(t, 0)
	alices := run(t, call)
	wantMounted(t, alices, mountpoint)

	root := call
	root.UID, root.GID, root.DropCaps = 0, 0, []int{unix.CAP_SYS_ADMIN}
	for text, args := range map[string][]string{
		"only allowed if 'user_allow_other' is set": {"-o", "allow_other", dir},
		"user has no write access to mountpoint":    {fusetest.Dir(t, alice)},
		"not found in /etc/mtab":                    {"-u", mountpoint},
	} {
		root.Args = args
		if r := run(t, root); r.Exit != 1 || !strings.Contains(r.Stderr, text) {
			t.Errorf("%q: exit %d, %s", args, r.Exit, r.Stderr)
		}
	}
	root.Args = []string{"-o", "suid,dev", dir}
	r := run(t, root)
	wantMounted(t, r, dir)
	if want := "unsafe option dev ignored"; !strings.Contains(r.Stderr, want) {
		t.Errorf("%q, want %q", r.Stderr, want)
	}
	root.Args, root.Socket = []string{"-u", dir}, helpertest.NoSocket
	if r := run(t, root); r.Exit != 0 {
		t.Errorf("-u: exit %d, %s", r.Exit, r.Stderr)
	}
	wantNothing(t, dir)
	unmount(t, call, mountpoint)
}

// The client's groups count.
func TestServiceGroups(t *testing.T) {
	call, _, _ := asServed(t)
	const group = 5005
	dir := fusetest.Dir(t, bob)
	must(t, os.Chown(dir, bob, group), os.Chmod(dir, 0o775))
	call.Args = []string{dir}
	wantRefusal(t, run(t, call), dir, "user has no write access to mountpoint")
	call.Groups = []uint32{6006, group}
	wantMounted(t, run(t, call), dir)
	unmount(t, call, dir)
}

// Those who are too many for the queue are told.
func TestServiceQueue(t *testing.T) {
	_, _, service := asServed(t, "--max-requests-per-user", "1", "--max-queue-per-user", "1")
	connect(t, service)
	eventually(t, "it has a worker", func() bool { return len(service.Workers(t, alice)) > 0 })
	connect(t, service).greet() // waits
	s := connect(t, service).greet()
	r, err := wire.ParseReply(s.read())
	must(t, err)
	if r.Errno != uint32(unix.EAGAIN) || r.Text != "the mount service is busy with too many of your requests" {
		t.Errorf("%+v, %+v", s.hello, r)
	}
}

// A worker that answers keeps nothing of the client's busy: they may unmount at once.
func TestServiceLetsGo(t *testing.T) {
	call, mountpoint := asUser(t)
	call.Prog = fusetest.InstallHelper(t, helperProgram(t), fusetest.Plain)
	became, kept := map[int]bool{}, map[int][]string{} // false: it waits for a client
	socket := helpertest.StartIntercepted(t, func(c helpertest.Syscall) helpertest.Verdict {
		_, waits := became[c.PID]
		switch {
		case c.Child && c.Name == "recvmsg" && !waits:
			became[c.PID] = false
		case c.Child && strings.HasPrefix(c.Name, "getresuid"): // or getresuid32
			became[c.PID] = waits
		case c.Child && c.Name == "sendto" && became[c.PID]: // the last one is the answer
			kept[c.PID] = nil
			links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", c.PID))
			for _, link := range append(links, fmt.Sprintf("/proc/%d/cwd", c.PID)) {
				if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, filepath.Dir(mountpoint)) {
					kept[c.PID] = append(kept[c.PID], to)
				}
			}
		}
		return helpertest.Continue
	}, "mmap", "rt_sigaction", "rt_sigprocmask", "fcntl")
	call.Env = []string{"FUSERMOUNT_SOCKET=" + socket}
	bobs := call
	bobs.UID, bobs.GID, bobs.Args, bobs.Socket = bob, bob, []string{"-u", mountpoint}, helpertest.NoSocket
	wantMounted(t, run(t, call), mountpoint)
	if r := run(t, bobs); r.Exit != 1 {
		t.Errorf("bob unmounts what is alice's: exit %d", r.Exit)
	}
	unmount(t, call, mountpoint)
	if len(kept) != 3 {
		t.Errorf("%d workers have answered", len(kept))
	}
	for _, open := range kept {
		if len(open) > 0 {
			t.Errorf("with the answer it has open: %q", open)
		}
	}
}

// With auto_unmount a worker watches, and fusermount3 need not. The mount goes when its daemon dies.
func TestServiceAutoUnmount(t *testing.T) {
	call, mountpoint, service := asServed(t, "--max-watchers-per-user", "1")
	call.Args = []string{"-o", "auto_unmount", mountpoint}
	w := startWatch(t, call, mountpoint)
	<-w.Exited()

	more := call
	dir := fusetest.Dir(t, alice)
	more.Args = []string{"-o", "auto_unmount", dir}
	r := run(t, more)
	wantMounted(t, r, dir)
	if want := "the mount will not be unmounted automatically: the mount service watches too many of your mounts"; !strings.Contains(r.Stderr, want) {
		t.Errorf("%q, want %q", r.Stderr, want)
	}
	unmount(t, call, dir)

	must(t, service.Process.Signal(unix.SIGTERM)) // those who watch outlive the service
	w.die(t)
	eventually(t, "the mount goes", func() bool { return len(fusetest.MountsAt(t, mountpoint)) == 0 })
	eventually(t, "its worker ends", func() bool { return len(service.Workers(t, alice)) == 0 })
}

// A service that is started again and again, with the socket that another has made, loses no request
// and no mount.
func TestServiceRestart(t *testing.T) {
	const requests, atOnce, restarts = 100, 20, 10
	call, _, _ := asServed(t) // where there is none, this is skipped
	program := fusetest.InstallHelper(t, helpertest.ServiceProgram(t), fusetest.Plain)
	socket := filepath.Join(fusetest.Dir(t, 0), "socket")
	call.Env = []string{"FUSERMOUNT_SOCKET=" + socket}
	listener, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: socket, Net: "unixpacket"})
	must(t, err, os.Chmod(socket, 0o666))
	listener.SetUnlinkOnClose(false)
	file, err := listener.File()
	must(t, err, listener.Close())
	defer file.Close()

	done := make(chan struct{}, requests)
	var all sync.WaitGroup
	all.Add(atOnce)
	for range atOnce {
		go func() {
			defer all.Done()
			for range requests / atOnce {
				mine := call
				dir := fusetest.Dir(t, alice)
				mine.Args = []string{dir}
				r := helpertest.RunWithin(t.Context(), mine)
				if r.Exit != 0 || r.Dev == nil {
					t.Errorf("exit %d, %v, %s", r.Exit, r.Err, r.Stderr)
				} else {
					must(t, r.Dev.Close())
				}
				mine.Args, mine.Socket = []string{"-u", dir}, helpertest.NoSocket
				if r := helpertest.RunWithin(t.Context(), mine); r.Exit != 0 {
					t.Errorf("unmount: exit %d, %v, %s", r.Exit, r.Err, r.Stderr)
				}
				wantNothing(t, dir)
				done <- struct{}{}
			}
		}()
	}
	end := func(cmd *exec.Cmd) {
		err := cmd.Process.Signal(unix.SIGTERM)
		// One that has not begun yet is ended by the signal, and has accepted nobody.
		if err = errors.Join(err, cmd.Wait()); err != nil && err.Error() != "signal: terminated" {
			t.Error(err)
		}
	}
	var before *exec.Cmd
	for i := range restarts {
		now := exec.CommandContext(t.Context(), "/bin/sh", "-c", `LISTEN_PID=$$ exec "$0"`, program)
		now.Env, now.ExtraFiles, now.Stderr = []string{"LISTEN_FDS=1"}, []*os.File{file}, os.Stderr
		must(t, now.Start())
		if before != nil {
			end(before)
		}
		before = now
		if i < restarts-1 {
			<-done
		}
	}
	all.Wait()
	end(before)
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(fusetest.Patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", fusetest.Patience, what)
		}
	}
}
