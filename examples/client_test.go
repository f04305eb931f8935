package examples

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
)

var clients = []string{"client-gofuse", "client-bazil", "client-jacobsa", "client-minifuse"}

// The same file system, mounted by the client package: for a user by our helper,
// for root without one.
func TestClients(t *testing.T) {
	helper := placeHelper(t)
	for _, name := range clients {
		for _, uid := range []int{user, 0} {
			t.Run(fmt.Sprintf("%s by %d", name, uid), func(t *testing.T) {
				program := buildGo(t, name)
				d := startAs(t, uid, program)
				checkServesTo(t, uid, d)
				fusermountAs(t, uid, "-u", d.dir)
				checkEnded(t, d)

				d = startAs(t, uid, program)
				checkServesTo(t, uid, d)
				if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
				checkEnded(t, d)
				checkNoHelperRuns(t, helper)
			})
		}
	}
}

// A client that is told to end takes its own mount away, and not one that was
// mounted on top.
func TestClientsCovered(t *testing.T) {
	placeHelper(t)
	for _, name := range clients {
		t.Run(name, func(t *testing.T) {
			d := start(t, buildGo(t, name))
			checkServes(t, d)
			s, err := fuseserver.Mount(d.dir, fuseserver.Tree{}, fuseserver.MountOptions{UID: user, GID: user, Source: "cover"})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it says that it cannot unmount", func() bool { return strings.Contains(d.output.String(), "lies on top") })
			if line, found := fusetest.FindMount(t, d.dir); !found || line.Source != "cover" {
				t.Errorf("%v: %+v", found, line)
			}
			// The library still serves, and ends with the mount.
			fusermount(t, "-u", d.dir)
			fusermount(t, "-u", d.dir)
			if err := d.wait(t); err == nil {
				t.Error("it did not say that it could not unmount")
			}
		})
	}
}

func checkEnded(t *testing.T, d *daemon) {
	t.Helper()
	if err := d.wait(t); err != nil {
		t.Errorf("the daemon ended with %v, and said:\n%s", err, &d.output)
	}
	if d.mounted(t) {
		t.Error("still mounted")
	}
}

// A library whose mount function calls the client package: bazil.org/fuse with
// one file exchanged, and with it the program that knows of nothing.
func TestInsideBazil(t *testing.T) {
	helper := placeHelper(t)
	program := filepath.Join(fusetest.Dir(t, 0), "hello-bazil")
	build(t, "go", "build", "-buildvcs=false", "-mod=mod", "-modfile", changedBazil(t), "-o", program, "./hello-bazil")
	d := start(t, program)
	checkServes(t, d)
	checkUnmounts(t, d)
	checkNoHelperRuns(t, helper)
	// It says what the helper says, which the library itself does not.
	out, err := as(user, program, "/proc/self/fd").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "fusermount3: ") {
		t.Errorf("%v: %s", err, out)
	}
}

// changedBazil gives a go.mod by which the library is a changed copy.
func changedBazil(t *testing.T) string {
	t.Helper()
	library, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "bazil.org/fuse").Output()
	if err != nil {
		t.Fatal(err)
	}
	module, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	copied := filepath.Join(dir, "fuse")
	var texts [3][]byte
	for i, name := range []string{"bazil-inside/mount_linux.go.txt", "go.mod", "go.sum"} {
		if texts[i], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	changed := strings.Replace(string(texts[1]), "=> ../", "=> "+module, 1) + "\nreplace bazil.org/fuse => " + copied + "\n"
	err = errors.Join(os.CopyFS(copied, os.DirFS(strings.TrimSpace(string(library)))),
		os.Remove(filepath.Join(copied, "mount_linux.go")),
		os.WriteFile(filepath.Join(copied, "mount_linux.go"), texts[0], 0o600),
		os.WriteFile(filepath.Join(dir, "go.mod"), []byte(changed), 0o600),
		os.WriteFile(filepath.Join(dir, "go.sum"), texts[2], 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "go.mod")
}
