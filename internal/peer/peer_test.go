//go:build linux

package peer

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

const clientEnv = "PEER_TEST_CLIENT"

// A client connects to the socket that its environment names, and lives until the socket
// ends.
func init() {
	fusetest.Role(clientEnv, func(path string) {
		err := func() error {
			c, err := net.Dial("unixpacket", path)
			if err != nil {
				return err
			}
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				return fmt.Errorf("read: %w", err)
			}
			return nil
		}()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	})
}

func TestMain(m *testing.M) { os.Exit(fusetest.RunTests(m)) }

// connect starts a client, and returns the socket of its connection.
func connect(t *testing.T, attr *syscall.SysProcAttr) (socket int, cmd *exec.Cmd) {
	t.Helper()
	path := filepath.Join(fusetest.Dir(t, 0), "socket")
	listener, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err == nil {
		err = os.Chmod(path, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	program := fusetest.InstallHelper(t, "/proc/self/exe", fusetest.Plain)
	cmd = exec.CommandContext(t.Context(), program)
	cmd.Env, cmd.Dir, cmd.Stderr, cmd.SysProcAttr = []string{clientEnv + "=" + path}, "/", os.Stderr, attr
	if err := cmd.Start(); err != nil {
		t.Skipf("start a client: %v", err)
	}
	conn, err := listener.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	file, err := conn.File()
	if err = errors.Join(err, conn.Close()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = file.Close()
		_ = cmd.Wait() // a test may have killed it
	})
	return int(file.Fd()), cmd
}

func of(t *testing.T, socket int) Peer {
	t.Helper()
	p, err := Of(socket)
	if errors.Is(err, ErrNoPIDFD) {
		fusetest.Skip(t, "run on Linux 6.5 or later: "+err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// The ids, with all groups, are those of the process that has connected.
func TestOf(t *testing.T) {
	fusetest.NeedRoot(t)
	for _, n := range []int{0, 1, 64, 65, 3000} {
		groups := make([]uint32, n)
		for i := range groups {
			groups[i] = uint32(10_000 + i)
		}
		socket, cmd := connect(t, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4242, Gid: 4343, Groups: groups}})
		p := of(t, socket)
		if p.PID != cmd.Process.Pid || p.UID != 4242 || p.GID != 4343 || !slices.Equal(p.Groups, groups) {
			t.Errorf("%d groups: pid %d, uid %d, gid %d, %d groups", n, p.PID, p.UID, p.GID, len(p.Groups))
		}
		if flags, err := unix.FcntlInt(uintptr(p.PIDFD), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("flags %x, %v", flags, err)
		}
	}
}

func TestOfNobody(t *testing.T) {
	for name, kind := range map[string]int{"not connected": unix.AF_UNIX, "no Unix socket": unix.AF_INET} {
		socket, err := unix.Socket(kind, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := Of(socket); err == nil {
			t.Errorf("%s: %+v", name, p)
		}
		if err := unix.Close(socket); err != nil {
			t.Error(err)
		}
	}
}

func own(t *testing.T, kind string) Namespace {
	t.Helper()
	ns, err := Own(kind)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.Close() })
	return ns
}

// The namespaces are the peer's, and a mount namespace names its owner.
func TestNamespaces(t *testing.T) {
	fusetest.NeedRoot(t)
	maps := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}
	for name, c := range map[string]struct {
		flags                 uintptr
		sameMount, sameUser   bool
		ownerIsPeers, ownerIs bool // the user namespace of the peer, of this process
	}{
		"the same":         {0, true, true, true, true},
		"mount namespace":  {unix.CLONE_NEWNS, false, true, true, true},
		"user namespace":   {unix.CLONE_NEWUSER, true, false, false, true},
		"both":             {unix.CLONE_NEWUSER | unix.CLONE_NEWNS, false, false, true, false},
		"pid and mount ns": {unix.CLONE_NEWPID | unix.CLONE_NEWNS, false, true, true, true},
	} {
		attr := &syscall.SysProcAttr{Cloneflags: c.flags}
		if c.flags&unix.CLONE_NEWUSER != 0 {
			attr.UidMappings, attr.GidMappings = maps, maps
		}
		socket, _ := connect(t, attr)
		p := of(t, socket)
		mount, err := p.Mount()
		if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) {
			fusetest.Skip(t, "run on Linux 6.11 or later: "+err.Error())
		}
		user, err2 := p.User()
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		owner, err := mount.Owner()
		if err != nil {
			t.Fatal(err)
		}
		got := []bool{mount.Same(own(t, "mnt")), user.Same(own(t, "user")), owner.Same(user), owner.Same(own(t, "user"))}
		if want := []bool{c.sameMount, c.sameUser, c.ownerIsPeers, c.ownerIs}; !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		if err := errors.Join(mount.Close(), user.Close(), owner.Close()); err != nil {
			t.Error(err)
		}
	}
}

// A peer that has ended is not another process.
func TestGone(t *testing.T) {
	fusetest.NeedRoot(t)
	socket, cmd := connect(t, nil)
	p := of(t, socket)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if ns, err := p.Mount(); !errors.Is(err, unix.ESRCH) {
		t.Errorf("%+v, %v", ns, err)
	}
	if now := of(t, socket); now.UID != 0 {
		t.Errorf("%+v", now)
	}
}

// In the peer's mount namespace files are still this process's own, and mounts the peer's.
func TestEnter(t *testing.T) {
	fusetest.NeedRoot(t)
	shared := fusetest.Dir(t, 0)
	for name, flags := range map[string]uintptr{
		"mount namespace": unix.CLONE_NEWNS, "user namespace": unix.CLONE_NEWNS | unix.CLONE_NEWUSER,
	} {
		t.Run(name, func(t *testing.T) {
			attr := &syscall.SysProcAttr{Cloneflags: flags}
			if flags&unix.CLONE_NEWUSER != 0 {
				attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}
				attr.GidMappings = attr.UidMappings
			}
			socket, cmd := connect(t, attr)
			p := of(t, socket)
			at, err := unix.Open(fmt.Sprintf("/proc/%d/root%s", cmd.Process.Pid, shared), unix.O_PATH|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(at)
			here := own(t, "mnt")
			entered := make(chan error)
			theirNS, err := p.Mount()
			if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) {
				fusetest.Skip(t, "run on Linux 6.11 or later: "+err.Error())
			}
			if err != nil {
				t.Fatal(err)
			}
			defer theirNS.Close()
			if id, err := theirNS.MountID(); err != nil || id == 0 {
				t.Errorf("id %d, %v", id, err)
			}
			go func() { entered <- mountThere(theirNS, at, here) }()
			if err := <-entered; err != nil {
				t.Error(err)
			}
			if lines := fusetest.MountsAt(t, shared); len(lines) > 0 {
				t.Errorf("mounted here: %+v", lines)
			}
			theirs, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", cmd.Process.Pid))
			if err != nil || !strings.Contains(string(theirs), " - tmpfs theirs ") {
				t.Errorf("not mounted there: %v\n%s", err, theirs)
			}
		})
	}
}

// mountThere mounts a tmpfs at a directory of the peer's. Its thread ends with it.
func mountThere(there Namespace, at int, here Namespace) error {
	runtime.LockOSThread()
	if err := there.Enter(); err != nil {
		return err
	}
	now, err := Own("mnt") // by this process's /proc
	if err != nil {
		return err
	}
	if now.Same(here) {
		err = errors.New("still in this mount namespace")
	}
	return errors.Join(err, now.Close(), unix.Mount("theirs", fmt.Sprintf("/proc/thread-self/fd/%d", at), "tmpfs", 0, ""))
}
