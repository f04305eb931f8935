package conformance

import (
	"context"
	"errors"
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

// looseTree makes a mount that lies in no namespace, as any user can in a user namespace
// of their own, with a directory m of alice's. Since Linux 6.15 the new mount API
// attaches to such a tree, and nothing could take that back.
func looseTree(t *testing.T) (fd int) {
	t.Helper()
	context, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(context)
	if err := unix.FsconfigCreate(context); err != nil {
		t.Fatal(err)
	}
	fd, err = unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Mkdirat(fd, "m", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fchownat(fd, "m", alice, alice, 0); err != nil {
		t.Fatal(err)
	}
	return fd
}

// A mount must lie where its caller can see and unmount it. A tree in no namespace could
// be attached in another one later, past mount_max and with a refusal in the log. Before
// Linux 6.8 the kernel refuses, with sync-init after the caller has the device.
func TestLooseTree(t *testing.T) {
	for table, deny := range waysToRead {
		for way, denied := range waysToMount {
			for _, args := range [][]string{{"m"}, {"--sync-init", "m"}} {
				t.Run(strings.Join(append([]string{table, way}, args...), " "), func(t *testing.T) {
					call, _ := asUser(t)
					tree := looseTree(t)
					call.Dir, call.Args = fmt.Sprintf("/proc/self/fd/%d", tree), args
					call.Deny = append(append([]helpertest.Denied{}, deny...), denied...)
					if r := runAnswering(t, call); r.Exit != 1 || !strings.Contains(r.Stderr, "mount failed: ") {
						t.Errorf("exit %d, %q", r.Exit, r.Stderr)
					}
					if over := mountOf(t, tree, "m"); over != mountOf(t, tree, ".") {
						t.Errorf("mount %d lies on m", over)
					}
				})
			}
		}
	}
}

func mountOf(t *testing.T, dir int, name string) uint64 {
	t.Helper()
	var st unix.Statx_t
	if err := unix.Statx(dir, name, unix.AT_STATX_DONT_SYNC, 0, &st); err != nil {
		t.Fatal(err)
	}
	return st.Mnt_id
}

// In a chroot, with a working directory outside of it, the mount is not in the table. It
// is taken back all the same.
func TestOutsideOfChroot(t *testing.T) {
	for _, args := range [][]string{{"m"}, {"--sync-init", "m"}} {
		call, mountpoint := asUser(t)
		root := chroot(t, map[string]string{"fusermount3": call.Prog, "dev/fuse": "/dev/fuse", "proc": "/proc"})
		ids := strconv.Itoa(alice)
		call.Prog, call.KeepRoot = "/usr/bin/nsenter", true
		call.Args = append([]string{"--root=" + root, "--wd=" + mountpoint, "-S", ids, "-G", ids, "/fusermount3"}, args...)
		call.Env = []string{"_FUSE_COMMFD=3"}
		if err := os.Mkdir(filepath.Join(mountpoint, "m"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(filepath.Join(mountpoint, "m"), alice, alice); err != nil {
			t.Fatal(err)
		}
		before := len(fusetest.Mountinfo(t))
		r := runAnswering(t, call)
		if r.Exit != 1 || !strings.Contains(r.Stderr, "it lies outside of the root directory\n") {
			t.Errorf("%v: exit %d, %q", args, r.Exit, r.Stderr)
		}
		if after := len(fusetest.Mountinfo(t)); after != before {
			t.Errorf("%v: %d mounts before, %d after", args, before, after)
		}
	}
}

// runAnswering runs the helper and, with sync-init, answers that the device is served.
// It closes the device, which may only come with sync-init.
func runAnswering(t *testing.T, call helpertest.Call) helpertest.Result {
	t.Helper()
	if !slices.Contains(call.Args, "--sync-init") {
		r := run(t, call)
		if r.NFDs != 0 {
			t.Errorf("%d descriptors", r.NFDs)
		}
		return r
	}
	ctx, cancel := context.WithTimeout(t.Context(), fusetest.Patience)
	defer cancel()
	p, err := call.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Receive(time.Now().Add(fusetest.Patience)); err == nil && got.Dev != nil {
		if err := errors.Join(p.Send([]byte{0}), got.Dev.Close()); err != nil {
			t.Error(err)
		}
	}
	return p.Wait()
}

// chroot is a plain directory with some bind mounts.
func chroot(t *testing.T, binds map[string]string) (root string) {
	t.Helper()
	root = fusetest.Dir(t, 0)
	for _, dir := range []string{"dev", "proc"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for at, what := range binds {
		at = filepath.Join(root, at)
		if what != "/proc" {
			writeFile(t, at, "")
		}
		if err := unix.Mount(what, at, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	}
	return root
}
