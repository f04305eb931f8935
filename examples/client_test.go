package examples

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

var clients = []string{"client-gofuse", "client-bazil", "client-jacobsa"}

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
			s, err := fusetest.Mount(d.dir, fusetest.Tree{}, fusetest.MountOptions{UID: user, GID: user, Source: "cover"})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
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
