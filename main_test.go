//go:build linux

package fusermount_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

const (
	user     = 4242 // without privileges
	other    = 4343
	patience = fusetest.Patience // for what must come
)

// TestMain also makes this program a helper that misbehaves, or another user's
// process, where it was started as one.
func TestMain(m *testing.M) {
	if fake, ok := strings.CutPrefix(filepath.Base(os.Args[0]), fakePrefix); ok {
		os.Exit(runFake(fake))
	}
	if job, ok := os.LookupEnv(jobEnv); ok {
		os.Exit(runJob(job))
	}
	// Under -race a program waits a second at its end: fakes need not.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		panic(err)
	}
	os.Exit(fusetest.RunTests(m))
}

// within bounds a test. A failure alone takes that long.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// ours is the helper as 'make test' built it, installed setuid root.
func ours(t *testing.T) string {
	t.Helper()
	program := os.Getenv("FUSERMOUNT_HELPER")
	if program == "" {
		fusetest.Skip(t, "set FUSERMOUNT_HELPER to the helper: 'make test' does")
	}
	fusetest.NeedDevice(t)
	return fusetest.InstallHelper(t, program, fusetest.Setuid)
}

// reference is the C helper, installed likewise.
func reference(t *testing.T) string {
	t.Helper()
	fusetest.NeedRoot(t)
	fusetest.NeedDevice(t)
	program := os.Getenv("FUSERMOUNT_REFERENCE")
	if program == "" {
		program = "/bin/fusermount3"
	}
	said, err := exec.Command(program, "-V").Output()
	if err != nil || strings.Contains(string(said), "go-fusermount") {
		fusetest.Skip(t, "install libfuse's helper (apt-get install fuse3), or set FUSERMOUNT_REFERENCE to it")
	}
	nameUser()
	return fusetest.InstallHelper(t, program, fusetest.Setuid)
}

// nameUser gives the user a name, for which the C helper looks.
var nameUser = sync.OnceFunc(func() {
	text, err := os.ReadFile("/etc/passwd")
	if err == nil {
		text = append(text, fmt.Sprintf("client:x:%d:%d::/:/bin/sh\n", user, user)...)
		err = os.WriteFile("/etc/passwd", text, 0o644)
	}
	if err != nil {
		panic(err)
	}
})

// withHelpers runs a test with both.
func withHelpers(t *testing.T, test func(t *testing.T, helper string)) {
	t.Run("ours", func(t *testing.T) { test(t, ours(t)) })
	t.Run("C", func(t *testing.T) { test(t, reference(t)) })
}

// mountAs mounts as a user, and closes the mount at the test's end.
func mountAs(t *testing.T, uid uint32, dir string, o *fusermount.Options) *fusermount.Mounted {
	t.Helper()
	var m *fusermount.Mounted
	err := as(uid, func() (err error) {
		m, err = fusermount.Mount(within(t), dir, o)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// as runs f as a user; 0 is the user who runs the tests.
func as(uid uint32, f func() error) error {
	if uid == 0 {
		return f()
	}
	return fusetest.AsUser(uid, uid, f)
}

// serve has a daemon in another process serve the mount.
func serve(t *testing.T, m *fusermount.Mounted, opts fuseserver.Options) *fuseserver.Server {
	t.Helper()
	device, err := m.TakeFile()
	if err != nil {
		t.Fatal(err)
	}
	s := fuseserver.ServeOptions(device, hello, opts)
	t.Cleanup(func() { _ = s.Close() }) // some tests have killed it
	if !opts.HangBeforeInit {
		ready(t, s)
	}
	return s
}

var hello = fuseserver.Tree{Files: map[string][]byte{"hello": []byte("hello, world\n")}}

func ready(t *testing.T, s *fuseserver.Server) {
	t.Helper()
	select {
	case <-s.Ready():
	case <-s.Done():
		t.Fatal("the daemon ended: ", s.Wait())
	case <-time.After(patience):
		t.Fatal("the daemon is not ready")
	}
}

// mounted gives the mount at dir, which has to be there.
func mounted(t *testing.T, dir string) fusetest.Line {
	t.Helper()
	line, found := fusetest.FindMount(t, dir)
	if !found {
		t.Fatalf("nothing is mounted on %s", dir)
	}
	return line
}

func wantNothing(t *testing.T, dir string) {
	t.Helper()
	if lines := fusetest.MountsAt(t, dir); len(lines) > 0 {
		t.Errorf("still mounted: %+v", lines)
	}
}

// logger returns a logger, and what it has logged at any level.
func logger() (*slog.Logger, *bytes.Buffer) {
	text := &bytes.Buffer{}
	return slog.New(slog.NewTextHandler(text, &slog.HandlerOptions{Level: slog.LevelDebug})), text
}

// warned is in each line that a helper's warning makes.
const warned = "level=WARN msg=\"helper: "

// wantError wants an *Error that is all of kinds.
func wantError(t *testing.T, err error, kinds ...error) *fusermount.Error {
	t.Helper()
	var e *fusermount.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v (%T) is no *Error", err, err)
	}
	for _, kind := range kinds {
		if !errors.Is(err, kind) {
			t.Errorf("%q is not %q", err, kind)
		}
	}
	return e
}

// eventually waits for what goes on by itself.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// held is what a process can leak.
type held struct{ descriptors, goroutines, children, mounts int }

func count(t *testing.T) held {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return held{len(fds), runtime.NumGoroutine(), len(living(t)), len(fusetest.Mountinfo(t))}
}

// children gives our children, with those that have ended and were not waited for.
func children(t *testing.T) (pids []string) {
	t.Helper()
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ESRCH) { // threads end
			t.Fatal(err)
		}
		pids = append(pids, strings.Fields(string(text))...)
	}
	return pids
}

// living gives our children that live. Those of a helper come to us when it
// dies, and are not reaped.
func living(t *testing.T) (pids []string) {
	t.Helper()
	for _, pid := range children(t) {
		if line, err := os.ReadFile("/proc/" + pid + "/cmdline"); err == nil && len(line) > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// wantNoLeak wants no more than before; call it before a test and what it gives
// at its end.
func wantNoLeak(t *testing.T) func() {
	t.Helper()
	before := count(t)
	return func() {
		t.Helper()
		var now held
		defer func() {
			if t.Failed() {
				buf := make([]byte, 1<<16)
				t.Logf("before %+v, now %+v\n%s", before, now, buf[:runtime.Stack(buf, true)])
			}
		}()
		eventually(t, "nothing is left", func() bool {
			now = count(t)
			return now.descriptors <= before.descriptors && now.goroutines <= before.goroutines &&
				now.children <= before.children && now.mounts <= before.mounts
		})
	}
}

// jobEnv makes this program do one of jobs in a process of its own: for
// what concerns a whole process, its end, its system calls, its namespaces.
const jobEnv = "CLIENT_TEST_JOB"

var jobs = map[string]func(args []string) error{}

func runJob(name string) int {
	job, ok := jobs[name]
	if !ok {
		fmt.Fprintln(os.Stderr, "no such job:", name)
		return 99
	}
	if err := job(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// jobCall is a call of this program that does a job.
func jobCall(t *testing.T, uid uint32, job string, args ...string) helpertest.Call {
	t.Helper()
	return helpertest.Call{
		Prog: fusetest.InstallHelper(t, "/proc/self/exe", fusetest.Plain), Args: args, Dir: "/",
		Env: []string{jobEnv + "=" + job, "GORACE=atexit_sleep_ms=0", "PATH=/usr/bin:/bin"}, Socket: helpertest.NoSocket,
		UID: uid, GID: uid, KeepRoot: uid == 0,
	}
}

// doJob runs one that has to end well.
func doJob(t *testing.T, call helpertest.Call) string {
	t.Helper()
	r := call.Run(within(t))
	if r.Err != nil || r.Exit != 0 {
		t.Fatalf("exit %d, %v %v: %s%s", r.Exit, r.Signal, r.Err, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// ctxOfJob bounds what a job does; it is not cancelled.
func ctxOfJob() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	context.AfterFunc(ctx, cancel)
	return ctx
}
