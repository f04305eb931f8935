package races

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// A caller can hold the lock of a directory's inode for any time: by getdents64(2) into
// memory that is mapped from a file of their own FUSE file system, whose daemon does not
// answer. move_mount(2) and mount(2) wait for that lock, and not even SIGKILL ends the
// wait. So the caller can stop the helper after its last check of the mountpoint.
// SECURITY.md describes the consequences.

// TestStoppedInside has root mount on a directory of alice's where alice's helper is
// about to mount: root's mount waits for the lock first, then the helper, which has seen
// nothing there. Root's mount comes to lie below. The helper takes its own back, unless
// it is killed before.
func TestStoppedInside(t *testing.T) {
	program := install(t)
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed %v", killed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			l := newLocks(t, w)
			l.hold(t, w.m)
			root := startChild(t, 0, "mount", w.m)
			waitFor(t, "root's mount waits", func() bool { return stuckIn(root.Process.Pid, unix.SYS_MOUNT) })
			p := startWithin(t, helpertest.Call{Prog: program, UID: alice, GID: alice, Dir: "/", Args: []string{w.m}})
			waitFor(t, "the helper waits", func() bool { return stuckIn(p.Pid(), unix.SYS_MOVE_MOUNT) })
			if killed {
				must(t, p.Signal(unix.SIGKILL))
				waitFor(t, "the signal is there", func() bool { return pending(p.Pid()) })
			}
			l.release(t)
			must(t, root.Wait())
			r := p.Wait()
			stack := fusetest.MountsAt(t, w.m)
			if len(stack) == 0 || stack[0].FSType != "tmpfs" {
				t.Fatalf("root's mount is gone: %+v, exit %d, %q", stack, r.Exit, r.Stderr)
			}
			switch {
			case len(stack) == 1 && (r.Exit == 1 || killed):
			case len(stack) == 2 && killed && isAlices(stack[1]):
				figures.known.Add(1)
				t.Log("alice's mount covers root's")
			default:
				t.Errorf("exit %d, %q, and mounts %+v", r.Exit, r.Stderr, stack)
			}
			if len(stack) == 2 {
				must(t, detached(&world{program: program, m: w.m}))
			}
		})
	}
}

// TestStoppedInsideMany has many helpers wait like that, each after its count of mounts.
func TestStoppedInsideMany(t *testing.T) {
	program := install(t)
	const limit, calls = 2, 6
	w := worldWithMax(t, program, limit)
	l := newLocks(t, w) // it is one mount of alice's
	var dirs []string
	for i := range calls {
		dir := filepath.Join(w.home, strconv.Itoa(i))
		must(t, w.mkdir(dir, alice))
		l.hold(t, dir)
		dirs = append(dirs, dir)
	}
	var helpers []*helpertest.Proc
	for _, dir := range dirs {
		p := startWithin(t, helpertest.Call{Prog: program, UID: alice, GID: alice, Dir: "/", Args: []string{dir}})
		waitFor(t, "the helper waits", func() bool { return stuckIn(p.Pid(), unix.SYS_MOVE_MOUNT) })
		helpers = append(helpers, p)
	}
	l.release(t)
	mounted := 0
	for _, p := range helpers {
		if r := p.Wait(); r.Dev != nil {
			mounted++
			must(t, r.Dev.Close())
		}
	}
	t.Logf("mount_max is %d, and %d calls at once came to %d mounts", limit, calls, mounted)
	if mounted > limit {
		figures.known.Add(1)
	}
	r := helpertest.Call{Prog: program, UID: alice, GID: alice, Dir: "/", Args: []string{w.m}}.Run(t.Context())
	if mounted >= limit && (r.Exit != 1 || !strings.Contains(r.Stderr, "mount_max")) {
		t.Errorf("the next one: exit %d, %q", r.Exit, r.Stderr)
	}
}

// worldWithMax moves the test into a mount namespace of its own with this mount_max.
func worldWithMax(t *testing.T, program string, limit int) *world {
	t.Helper()
	w := worldWithUtab(t, program)
	must(t, helpertest.Mount("/etc", "tmpfs", 0, "mode=0755"),
		os.WriteFile("/etc/fuse.conf", fmt.Appendf(nil, "mount_max = %d\n", limit), 0o644))
	return w
}

// locks are those of directories, which processes of alice's hold until alice's daemon
// has ended.
type locks struct {
	server  *fuseserver.Server
	dir     string
	holders []*exec.Cmd
}

// maxLocks is how many directories can be locked.
const maxLocks = 8

func newLocks(t *testing.T, w *world) *locks {
	t.Helper()
	l := &locks{dir: filepath.Join(w.home, "own")}
	must(t, w.mkdir(l.dir, alice))
	files := map[string][]byte{}
	for i := range maxLocks {
		files[strconv.Itoa(i)] = make([]byte, os.Getpagesize())
	}
	var err error
	l.server, err = fuseserver.Mount(l.dir, fuseserver.Tree{Files: files}, fuseserver.MountOptions{
		UID: alice, GID: alice, Server: fuseserver.Options{Silent: []fuseserver.Opcode{fuseserver.OpRead}},
	})
	must(t, err)
	t.Cleanup(func() { l.release(t) })
	return l
}

// hold locks a directory.
func (l *locks) hold(t *testing.T, dir string) {
	t.Helper()
	n := len(l.holders)
	l.holders = append(l.holders, startChild(t, alice, "getdents", dir, filepath.Join(l.dir, strconv.Itoa(n))))
	waitFor(t, "the lock is held", func() bool { return l.server.Count(fuseserver.OpRead) > n })
}

// release ends the daemon, and with it all that waits for it.
func (l *locks) release(t *testing.T) {
	t.Helper()
	must(t, l.server.Close())
	for _, h := range l.holders {
		must(t, h.Wait())
	}
	l.holders = nil
}

// stuckIn reports whether a process waits in a system call, and no signal ends that.
func stuckIn(pid int, nr uintptr) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && bytes.Contains(text, []byte(") D ")) && waitsIn(pid, nr)
}

// pending reports whether SIGKILL is pending for a process.
func pending(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, set, _ := strings.Cut(string(text), "\nSigPnd:\t")
	set, _, _ = strings.Cut(set, "\n")
	bits, parseErr := strconv.ParseUint(set, 16, 64)
	return err == nil && parseErr == nil && bits&(1<<(unix.SIGKILL-1)) != 0
}

// childEnv has the test's program make one call that may never return. This process must
// not make it: neither it nor the daemon that waits for its end could end.
const childEnv = "ATTACKS_CHILD"

func startChild(t *testing.T, uid uint32, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env, cmd.Stderr = []string{childEnv + "=1", "GOMAXPROCS=1"}, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}, Pdeathsig: unix.SIGKILL}
	must(t, cmd.Start())
	return cmd
}

func childMain(args []string) int {
	runtime.LockOSThread()
	var err error
	switch args[0] {
	case "mount":
		err = unix.Mount("attacks", args[1], "tmpfs", 0, "mode=0755")
	case "getdents":
		err = getdents(args[1], args[2])
	case "burn":
		err = burn(args[1], args[2:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, args, err)
		return 1
	}
	return 0
}

// getdents lists a directory into memory that is mapped from a file. It fails when the
// daemon that the file belongs to has ended.
func getdents(dir, file string) error {
	d, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	f, err := unix.Open(file, unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	memory, err := unix.Mmap(f, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	// No slice: the garbage collector must not read this memory.
	_, _, errno := unix.Syscall(unix.SYS_GETDENTS64, uintptr(d), uintptr(unsafe.Pointer(unsafe.SliceData(memory))), uintptr(len(memory)))
	if errno != unix.EFAULT {
		return errors.Join(errno, errors.New("want EFAULT"))
	}
	return nil
}
