package races

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// These tests show what a user can exhaust by the helper. SECURITY.md has the figures.

// carol is a user of these tests alone, since the user's processes are counted.
const carol = 4444

// tasksOfWatcher bounds the tasks of a watcher: those that the Go runtime starts.
const tasksOfWatcher = 6

// TestWatcherTasks has a user start as many watchers as RLIMIT_NPROC allows. Each has
// threads that the limit may not count. Where it does, a watcher without a thread ends.
func TestWatcherTasks(t *testing.T) {
	program := install(t)
	const limit = 10
	w := newWorld(t)
	must(t, os.Chown(w.home, carol, carol))
	var shells []*helpertest.Proc
	var goOn []*os.File
	for i := range limit {
		m := filepath.Join(w.home, strconv.Itoa(i))
		must(t, w.mkdir(m, carol))
		read, write, err := os.Pipe()
		must(t, err)
		shells = append(shells, startWithin(t, helpertest.Call{
			Prog: "/bin/sh", UID: carol, GID: carol, Dir: "/", Stdin: read,
			Args:    []string{"-c", "read line && exec " + program + " -o auto_unmount " + m},
			Rlimits: []helpertest.Rlimit{{Resource: unix.RLIMIT_NPROC, Value: limit}},
		}))
		must(t, read.Close())
		goOn = append(goOn, write)
	}
	var watchers []*helpertest.Proc
	for i, p := range shells {
		_, err := goOn[i].WriteString("\n")
		must(t, err, goOn[i].Close())
		got, err := p.Receive(time.Now().Add(fusetest.Patience))
		if got.Dev != nil {
			w.held = append(w.held, got.Dev)
			watchers = append(watchers, p)
			continue
		}
		r := p.Wait()
		for _, l := range fusetest.MountsAt(t, filepath.Join(w.home, strconv.Itoa(i))) {
			// The runtime ended it after the mount because it got no thread, which SECURITY.md
			// describes. Carol can unmount it.
			if r.Exit != 2 || !l.HasOption(fmt.Sprintf("user_id=%d", carol)) {
				t.Errorf("exit %d, %v, %q, and mounted: %+v", r.Exit, err, r.Stderr, l)
			}
			figures.known.Add(1)
		}
	}
	tasks, memory := 0, 0
	watchers = slices.DeleteFunc(watchers, func(p *helpertest.Proc) bool { return !staysBehind(t, p) })
	for _, p := range watchers {
		threads, err := threadsOf(p.Pid())
		must(t, err)
		if len(threads) > tasksOfWatcher {
			t.Errorf("a watcher has %d tasks", len(threads))
		}
		tasks += len(threads)
		memory += helpertest.PrivateMemory(t, p.Pid())
	}
	t.Logf("RLIMIT_NPROC is %d, and %d watchers have %d tasks and %d kB of their own", limit, len(watchers), tasks, memory)
	must(t, w.release(0))
	for _, p := range watchers {
		must(t, p.CloseSocket())
		if r := p.Wait(); r.Exit != 0 {
			t.Errorf("exit %d, signal %d, %q", r.Exit, r.Signal, r.Stderr)
		}
	}
}

// staysBehind waits until a helper waits as a watcher. One that gets no thread ends, and
// leaves the mount without a watcher.
func staysBehind(t *testing.T, p *helpertest.Proc) (stays bool) {
	t.Helper()
	waitFor(t, "the watcher waits, or has ended", func() bool {
		stays = waitsIn(p.Pid(), unix.SYS_PPOLL)
		select {
		case <-p.Exited():
			return true
		default:
			return stays
		}
	})
	if stays {
		return true
	}
	if r := p.Wait(); r.Exit != 2 {
		t.Errorf("exit %d, signal %d, %v, %q", r.Exit, r.Signal, r.Err, r.Stderr)
	}
	return false
}

// TestMountMaxTaken has one user make all the mounts that mount_max allows. It counts the
// mounts of all users, as in libfuse's helper, so that the others get none.
func TestMountMaxTaken(t *testing.T) {
	program := install(t)
	const limit = 3
	w := worldWithMax(t, program, limit)
	for i := range limit {
		r := w.runAt(t, alice, strconv.Itoa(i))
		if r.Exit != 0 || r.Dev == nil {
			t.Fatalf("exit %d, %q", r.Exit, r.Stderr)
		}
		w.held = append(w.held, r.Dev)
	}
	for _, uid := range []uint32{alice, bob} {
		if r := w.runAt(t, uid, "more"+strconv.Itoa(int(uid))); r.Exit != 1 || !strings.Contains(r.Stderr, "mount_max") {
			t.Errorf("uid %d: exit %d, %q", uid, r.Exit, r.Stderr)
		}
	}
	if r := w.runAt(t, 0, "root"); r.Exit != 0 || r.Dev == nil {
		t.Errorf("root: exit %d, %q", r.Exit, r.Stderr)
	} else {
		must(t, r.Dev.Close())
	}
}

// runAt mounts for a user on a directory of theirs.
func (w *world) runAt(t *testing.T, uid uint32, name string, args ...string) helpertest.Result {
	t.Helper()
	m := filepath.Join(w.base, name)
	must(t, w.mkdir(m, int(uid)))
	return runWithin(t, helpertest.Call{Prog: w.program, UID: uid, GID: uid, Dir: "/", Args: append(args, m)})
}

// TestDetachedConnections has a user detach each mount as soon as it is there, and keep
// its file system and its watcher alive: mount_max counts what is attached.
func TestDetachedConnections(t *testing.T) {
	program := install(t)
	const limit, calls = 2, 6
	w := worldWithMax(t, program, limit)
	must(t, helpertest.Mount(fusetest.ControlPath, "fusectl", 0, ""))
	var watchers []*helpertest.Proc
	var connections []string
	for range calls {
		p := startWithin(t, helpertest.Call{Prog: program, UID: alice, GID: alice, Dir: "/", Args: []string{"-o", "auto_unmount", w.m}})
		got, err := p.Receive(time.Now().Add(fusetest.Patience))
		if err != nil || got.Dev == nil {
			t.Fatalf("%v, %+v", err, p.Wait())
		}
		waitFor(t, "the watcher waits", func() bool { return waitsIn(p.Pid(), unix.SYS_PPOLL) })
		line, found := fusetest.FindMount(t, w.m)
		fd, err := unix.Open(w.m, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil || !found {
			t.Fatal(found, err)
		}
		w.held = append(w.held, got.Dev, os.NewFile(uintptr(fd), "root"))
		_, minor, _ := strings.Cut(line.Device, ":")
		connections = append(connections, filepath.Join(fusetest.ControlPath, minor))
		must(t, detached(w))
		watchers = append(watchers, p)
	}
	live := 0
	for _, path := range connections {
		if _, err := os.Stat(path); err == nil {
			live++
		}
	}
	for _, p := range watchers {
		threads, err := threadsOf(p.Pid())
		must(t, err)
		if len(threads) == 0 {
			t.Error("a watcher has ended")
		}
	}
	if live > limit {
		figures.known.Add(1)
	}
	t.Logf("mount_max is %d, and %d file systems and %d watchers live on", limit, live, len(watchers))
	must(t, w.release(0))
	for _, p := range watchers {
		must(t, p.CloseSocket())
		if r := p.Wait(); r.Exit != 0 {
			t.Errorf("exit %d, signal %d, %q", r.Exit, r.Signal, r.Stderr)
		}
	}
}
