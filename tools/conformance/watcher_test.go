package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
	"github.com/go-fusermount/fusermount/internal/fusetest/testsys"
)

// waitIgnoring waits until the watcher ignores signals and waits, which is some time
// after the reply. (Blocked signals are no sign: each process has them between fork and
// exec.)
func waitIgnoring(t *testing.T, pid int) {
	t.Helper()
	poll, _ := testsys.SyscallNumber("ppoll")
	// By then it is a session leader.
	for deadline := time.Now().Add(fusetest.Patience); status(t, pid)["NSsid"] != strconv.Itoa(pid) || !inSyscall(t, pid, poll); {
		if time.Now().After(deadline) {
			t.Fatal("the watcher does not wait")
		}
	}
	if ignored := status(t, pid)["SigIgn"]; ignored != "fffffffffffbfeff" {
		t.Fatalf("the watcher waits, and SigIgn is %s", ignored)
	}
}

// inSyscall reports whether the main thread of a process is in this system call.
func inSyscall(t *testing.T, pid int, nr uintptr) bool {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/syscall")
	if err != nil {
		t.Fatal(err)
	}
	return strings.HasPrefix(string(text), strconv.FormatUint(uint64(nr), 10)+" ")
}

func status(t *testing.T, pid int) map[string]string {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		fields[name] = strings.TrimSpace(value)
	}
	return fields
}

// otherThreads returns the threads of a process without the main one.
func otherThreads(t *testing.T, pid int) (tids []int) {
	t.Helper()
	tasks, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			t.Fatal(err)
		}
		if tid != pid {
			tids = append(tids, tid)
		}
	}
	if len(tids) == 0 {
		t.Fatal("there is no other thread")
	}
	return tids
}

// A waiting watcher holds few descriptors and privileges.
func TestWatchHolds(t *testing.T) {
	w := watch(t)
	waitIgnoring(t, w.Pid())
	s := status(t, w.Pid())
	for name, want := range map[string]string{
		"Uid": "4242\t4242\t4242\t4242", "Gid": "4242\t4242\t4242\t4242",
		"CapPrm": "0000000000200000", "CapEff": "0000000000000000", "CapInh": "0000000000000000",
		"CapAmb": "0000000000000000", "NoNewPrivs": "1",
	} {
		if s[name] != want {
			t.Errorf("%s is %q, want %q", name, s[name], want)
		}
	}
	for _, tid := range otherThreads(t, w.Pid()) {
		s["CapPrm"] = "0000000000000000"
		for name, got := range status(t, tid) {
			switch name {
			case "Uid", "Gid", "CapInh", "CapPrm", "CapEff", "CapAmb", "NoNewPrivs", "Seccomp":
				if got != s[name] {
					t.Errorf("another thread's %s is %q, want %q", name, got, s[name])
				}
			}
		}
	}
	wantFiltered(t, w.Pid())
	dir := "/proc/" + strconv.Itoa(w.Pid())
	if cwd, err := os.Readlink(dir + "/cwd"); err != nil || cwd != "/" {
		t.Errorf("directory %q, %v", cwd, err)
	}
	links := helpertest.Descriptors(t, w.Pid())
	for _, link := range links {
		if link != "/dev/null" && !strings.HasPrefix(link, "socket:") {
			t.Errorf("a descriptor is %s", link)
		}
	}
	if len(links) != 4 {
		t.Errorf("%d descriptors, want the streams and the socket", len(links))
	}
	w.die(t)
	w.wantExit(t, 0)
}

// With two watchers of one mount, the slower one does not fail.
func TestWatchTwice(t *testing.T) {
	call, mountpoint := asUser(t)
	for range rounds(30) {
		call.Args = []string{"-o", "auto_unmount", mountpoint}
		w := startWatch(t, call, mountpoint)
		call.Args = []string{"--auto-unmount", mountpoint}
		ctx, cancel := context.WithTimeout(t.Context(), fusetest.Patience)
		defer cancel()
		second, err := call.Start(ctx)
		if err != nil {
			t.Fatal(err)
		}
		waitIgnoring(t, w.Pid())
		waitIgnoring(t, second.Pid())
		<-w.server.Ready()
		w.server.Hang()
		w.closeSocket(t)
		if err := second.CloseSocket(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(fusetest.Patience); w.server.Count(fuseserver.OpGetattr) < 2; {
			if time.Now().After(deadline) {
				t.Fatal("not both of them ask")
			}
		}
		// Both notice the end at the same moment.
		if err := w.server.Close(); err != nil {
			t.Fatal(err)
		}
		w.wantExit(t, 0)
		if r := second.Wait(); r.Exit != 0 {
			t.Fatalf("the second watcher: exit %d", r.Exit)
		}
		wantNothing(t, mountpoint)
	}
}

// A bind mount of the same file system stays: it is not the watched mount.
func TestWatchBound(t *testing.T) {
	w := watch(t)
	<-w.server.Ready()
	elsewhere := fusetest.Dir(t, alice)
	if err := unix.Mount(w.mountpoint, elsewhere, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	w.die(t)
	w.wantExit(t, 0)
	wantNothing(t, w.mountpoint)
	wantThere(t, elsewhere)
}

// The private memory of each of two hundred watchers (20 with -short).
func TestWatchMany(t *testing.T) {
	call, _ := asUser(t)
	var all []*watched
	watchers := rounds(200)
	for range watchers { // of one program file, so that its pages are shared
		mountpoint := fusetest.Dir(t, alice)
		call.Args = []string{"-o", "auto_unmount", mountpoint}
		all = append(all, startWatch(t, call, mountpoint))
	}
	most, sum := 0, 0
	for _, w := range all {
		waitIgnoring(t, w.Pid())
		private := helpertest.PrivateMemory(t, w.Pid())
		most, sum = max(most, private), sum+private
	}
	figures = fmt.Sprintf("%d watchers: private memory %d kB at most, %d kB on average", len(all), most, sum/len(all))
	if most > maxPrivate {
		t.Errorf("%s; want %d kB at most", figures, maxPrivate)
	}
	for _, w := range all {
		w.die(t)
	}
	for _, w := range all {
		w.wantExit(t, 0)
		wantNothing(t, w.mountpoint)
	}
}

// The socket may be a standard stream: it stays open, and the other streams are closed.
func TestWatchOnStream(t *testing.T) {
	for fd := range 3 {
		for _, args := range [][]string{{}, {"--sync-init"}} {
			call, mountpoint := asUser(t)
			call.CommFD, call.CommStdin = fd, fd == 0
			call.Args = append(args, "-o", "auto_unmount", mountpoint)
			if len(args) == 0 {
				w := startWatch(t, call, mountpoint)
				wantStreams(t, w.Pid(), fd)
				w.die(t)
				w.wantExit(t, 0)
			} else {
				s := startSync(t, call, mountpoint)
				s.answer(t)
				s.wantStatus(t, 0)
				wantStreams(t, s.Pid(), fd)
				if err := errors.Join(s.dev.Close(), s.CloseSocket()); err != nil {
					t.Fatal(err)
				}
				if r := s.Wait(); r.Exit != 0 {
					t.Errorf("exit %d", r.Exit)
				}
			}
			wantNothing(t, mountpoint)
		}
	}
}

// wantStreams wants three descriptors: the socket, and /dev/null twice.
func wantStreams(t *testing.T, pid, socket int) {
	t.Helper()
	waitIgnoring(t, pid)
	links := helpertest.Descriptors(t, pid)
	if len(links) != 3 {
		t.Fatalf("descriptors %v", links)
	}
	for fd, link := range links {
		if isSocket := strings.HasPrefix(link, "socket:"); isSocket != (fd == socket) || (!isSocket && link != os.DevNull) {
			t.Errorf("descriptor %d is %s", fd, link)
		}
	}
}
