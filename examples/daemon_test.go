package examples

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

const (
	user     = 4242        // has no name, and no privilege
	patience = time.Minute // for every wait
	// installed is where libfuse and the Go libraries find Debian's helper.
	installed = "/bin/fusermount3"
)

// placeHelper puts our helper over Debian's for the rest of the test, in the
// mount namespace of the tests alone, and returns the file that it is now.
func placeHelper(t *testing.T) string {
	t.Helper()
	fusetest.NeedRoot(t)
	fusetest.NeedDevice(t)
	source := os.Getenv("FUSERMOUNT_HELPER")
	if source == "" {
		fusetest.Skip(t, "set FUSERMOUNT_HELPER: 'make examples' does")
	}
	helper := fusetest.InstallHelper(t, source, fusetest.Setuid)
	for _, target := range debianHelpers(t) {
		if err := unix.Mount(helper, target, "", unix.MS_BIND, ""); err != nil {
			t.Fatalf("bind %s: %v", target, err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
				t.Errorf("umount %s: %v", target, err)
			}
		})
	}
	if version := fusermount(t, "-V"); !strings.Contains(version, "(go-fusermount ") {
		t.Fatalf("%s -V is not our helper: %q", installed, version)
	}
	return helper
}

// debianHelpers lists the files, without links, that a library can find.
func debianHelpers(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, path := range []string{installed, "/usr/bin/fusermount3", "/bin/fusermount", "/usr/bin/fusermount"} {
		file, err := filepath.EvalSymlinks(path)
		if errors.Is(err, os.ErrNotExist) && path != installed {
			continue
		}
		if err != nil {
			fusetest.Skip(t, "apt-get install fuse3")
		}
		if !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	return files
}

// as is a command of some user.
func as(uid int, program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=/"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	cmd.WaitDelay = patience
	return cmd
}

// fusermount runs the installed helper as the user, and returns what it said.
func fusermount(t *testing.T, args ...string) string {
	t.Helper()
	return fusermountAs(t, user, args...)
}

func fusermountAs(t *testing.T, uid int, args ...string) string {
	t.Helper()
	out, err := as(uid, installed, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", installed, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// running lists the processes that execute this very file.
func running(t *testing.T, program string) (pids []string) {
	t.Helper()
	want, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		// Kernel threads and processes that have ended have no file.
		if got, err := os.Stat(link); err == nil && os.SameFile(got, want) {
			pids = append(pids, strings.Split(link, "/")[2])
		}
	}
	return pids
}

// daemon is an example at work.
type daemon struct {
	dir    string // where it mounts
	cmd    *exec.Cmd
	ended  chan struct{}
	err    error  // how it ended; valid then, as the next
	output output // of both streams
}

// output is what a daemon has said so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(text []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(text)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// start runs an example as the user, and waits for its mount.
func start(t *testing.T, program string, args ...string) *daemon {
	t.Helper()
	return startAs(t, user, program, args...)
}

func startAs(t *testing.T, uid int, program string, args ...string) *daemon {
	t.Helper()
	d := &daemon{dir: fusetest.Dir(t, uint32(uid)), ended: make(chan struct{})}
	d.cmd = as(uid, program, append(args, d.dir)...)
	d.cmd.Stdout, d.cmd.Stderr = &d.output, &d.output
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		d.err = d.cmd.Wait()
		close(d.ended)
	}()
	t.Cleanup(func() { d.kill(t) })
	eventually(t, "the example mounts", func() bool {
		select {
		case <-d.ended:
			t.Fatalf("%s ended with %v, and said:\n%s", program, d.err, &d.output)
		default:
		}
		return d.mounted(t)
	})
	return d
}

func (d *daemon) mounted(t *testing.T) bool {
	t.Helper()
	_, found := fusetest.FindMount(t, d.dir)
	return found
}

// wait waits for the daemon's end.
func (d *daemon) wait(t *testing.T) error {
	t.Helper()
	select {
	case <-d.ended:
		return d.err
	case <-time.After(patience):
		t.Fatalf("%s has not ended", d.cmd)
		return nil
	}
}

// kill ends the daemon, if it has not ended by itself, without a chance to
// unmount.
func (d *daemon) kill(t *testing.T) {
	t.Helper()
	if err := d.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	<-d.ended
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
