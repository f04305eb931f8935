package examples

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

func TestMain(m *testing.M) { os.Exit(fusetest.RunTests(m)) }

func TestGoLibraries(t *testing.T) {
	helper := placeHelper(t)
	for _, name := range []string{"hello-gofuse", "hello-bazil", "hello-jacobsa"} {
		t.Run(name, func(t *testing.T) {
			d := start(t, buildGo(t, name))
			checkServes(t, d)
			checkUnmounts(t, d)
			checkNoHelperRuns(t, helper)
		})
	}
}

// libfuseOptions are what the examples in Go ask for by themselves.
const libfuseOptions = "ro,fsname=hello,subtype=hello"

func TestLibfuse(t *testing.T) {
	helper := placeHelper(t)
	program := buildC(t)
	for _, options := range []string{libfuseOptions, libfuseOptions + ",auto_unmount"} {
		t.Run(options, func(t *testing.T) {
			d := start(t, program, "-f", "-o", options)
			checkServes(t, d)
			checkUnmounts(t, d)
			checkNoHelperRuns(t, helper)
		})
	}
}

// A daemon that is killed leaves its mount behind, dead.
func TestLibfuseKilled(t *testing.T) {
	placeHelper(t)
	d := start(t, buildC(t), "-f", "-o", libfuseOptions)
	checkServes(t, d)
	d.kill(t)
	err := fusetest.AsUser(user, user, func() error {
		var st unix.Stat_t
		return unix.Stat(d.dir, &st)
	})
	if !errors.Is(err, unix.ENOTCONN) {
		t.Errorf("the mount of a killed daemon answers %v, want %v", err, unix.ENOTCONN)
	}
	if !d.mounted(t) {
		t.Fatal("the mount of a killed daemon is gone")
	}
	fusermount(t, "-u", d.dir)
	if d.mounted(t) {
		t.Error("still mounted after fusermount3 -u")
	}
}

// With auto_unmount our helper stays, and takes the mount of a killed daemon
// away.
func TestLibfuseKilledAutoUnmount(t *testing.T) {
	helper := placeHelper(t)
	d := start(t, buildC(t), "-f", "-o", libfuseOptions+",auto_unmount")
	checkServes(t, d)
	if pids := running(t, helper); len(pids) != 1 {
		t.Errorf("processes of our helper that watch: %v, want one", pids)
	}
	d.kill(t)
	eventually(t, "auto_unmount takes the mount away", func() bool { return !d.mounted(t) })
	checkNoHelperRuns(t, helper)
}

// checkServes wants a safe mount of the user's, and the file in it.
func checkServes(t *testing.T, d *daemon) {
	t.Helper()
	checkServesTo(t, user, d)
}

func checkServesTo(t *testing.T, uid int, d *daemon) {
	t.Helper()
	line, found := fusetest.FindMount(t, d.dir)
	if !found || line.FSType != "fuse.hello" || line.Source != "hello" {
		t.Errorf("mount %+v", line)
	}
	for _, option := range []string{"ro", "nosuid", "nodev", fmt.Sprintf("user_id=%d", uid)} {
		if !line.HasOption(option) {
			t.Errorf("no option %s in %+v", option, line)
		}
	}
	var names []string
	var text string
	err := fusetest.AsUser(uint32(uid), uint32(uid), func() (err error) {
		if names, err = list(d.dir); err != nil {
			return err
		}
		text, err = read(filepath.Join(d.dir, "hello"))
		return err
	})
	if err != nil || text != "hello, world\n" || len(names) != 1 || names[0] != "hello" {
		t.Fatalf("the user sees %q, and in hello %q, error %v", names, text, err)
	}
}

// checkUnmounts wants the daemon to end by itself, content, when its user
// unmounts.
func checkUnmounts(t *testing.T, d *daemon) {
	t.Helper()
	fusermount(t, "-u", d.dir)
	if d.mounted(t) {
		t.Error("still mounted after fusermount3 -u")
	}
	if err := d.wait(t); err != nil {
		t.Errorf("the daemon ended with %v, and said:\n%s", err, &d.output)
	}
}

// checkNoHelperRuns wants no process of our helper left.
func checkNoHelperRuns(t *testing.T, helper string) {
	t.Helper()
	eventually(t, "no process of our helper is left", func() bool { return len(running(t, helper)) == 0 })
}

// buildGo builds an example of this module where the user can execute it.
func buildGo(t *testing.T, name string) string {
	t.Helper()
	program := filepath.Join(fusetest.Dir(t, 0), name)
	build(t, "go", "build", "-buildvcs=false", "-o", program, "./"+name)
	return program
}

// buildC is buildGo for the example in C.
func buildC(t *testing.T) string {
	t.Helper()
	const remedy = "apt-get install libfuse3-dev gcc pkg-config"
	for _, tool := range []string{"cc", "pkg-config"} {
		if _, err := exec.LookPath(tool); err != nil {
			fusetest.Skip(t, remedy)
		}
	}
	flags, err := exec.Command("pkg-config", "--cflags", "--libs", "fuse3").Output()
	if err != nil {
		fusetest.Skip(t, remedy)
	}
	program := filepath.Join(fusetest.Dir(t, 0), "hello-libfuse")
	args := []string{"cc", "-Wall", "-Wextra", "-Werror", "-o", program, "libfuse/hello.c"}
	build(t, append(args, strings.Fields(string(flags))...)...)
	return program
}

func build(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
