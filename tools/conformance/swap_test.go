package conformance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// TestSwapDuringMount exchanges the mountpoint with another mount's while the
// helper mounts by mount(2), which gives no descriptor of what it mounted.
// Whatever comes out: no mount without a receiver, and no line of ours in a
// table for a mount that is not ours.
func TestSwapDuringMount(t *testing.T) {
	call, home := asUser(t)
	call.Deny = helpertest.NoFsopen
	writeFile(t, "/run/mount/utab", "")
	t.Cleanup(func() { _ = os.RemoveAll("/run/mount") })
	a, b := filepath.Join(home, "a"), filepath.Join(home, "b")
	for _, dir := range []string{a, b} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, alice, alice); err != nil {
			t.Fatal(err)
		}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go swap(a, b, stop, stopped)
	defer func() {
		close(stop)
		<-stopped
	}()
	call.Args = []string{"-o", "x-a,fsname=swapped", a}
	mounted, moved := 0, 0
	for range rounds(200) {
		r := run(t, call)
		switch {
		case r.Exit == 0 && r.Dev != nil:
			mounted++
		case r.Exit == 1 && r.Dev == nil:
			moved++
		default:
			t.Fatalf("exit %d, %d descriptors: %s", r.Exit, r.NFDs, r.Stderr)
		}
		takeAway(t, home, r.Exit == 0)
	}
	t.Logf("%d mounted, %d refused", mounted, moved)
}

// swap exchanges two directories until it is stopped. Where one is a
// mountpoint the kernel refuses.
func swap(a, b string, stop <-chan struct{}, stopped chan<- struct{}) {
	defer close(stopped)
	for {
		select {
		case <-stop:
			return
		default:
			_ = unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE) // EBUSY while mounted
		}
	}
}

// takeAway wants at most the one mount that was sent, and takes it away.
func takeAway(t *testing.T, home string, sent bool) {
	t.Helper()
	found := 0
	for _, line := range fusetest.Mountinfo(t) {
		if strings.HasPrefix(line.Mountpoint, home+"/") {
			found++
			if err := unix.Unmount(line.Mountpoint, unix.MNT_DETACH); err != nil {
				t.Fatal(err)
			}
		}
	}
	if (found == 1) != sent || found > 1 {
		t.Fatalf("%d mounts, sent %v", found, sent)
	}
}
