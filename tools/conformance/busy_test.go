package conformance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// onVolume makes a mountpoint of alice's that is the root of a bind mount of root's, as a
// container's volume is.
func onVolume(t *testing.T) (mountpoint string) {
	t.Helper()
	mountpoint = fusetest.Dir(t, alice)
	must(t, unix.Mount(fusetest.Dir(t, alice), mountpoint, "", unix.MS_BIND, ""))
	must(t, os.Chown(mountpoint, alice, alice))
	return mountpoint
}

// serveOn mounts and serves.
func serveOn(t *testing.T, call helpertest.Call, mountpoint, options string) *fuseserver.Server {
	t.Helper()
	call.Args = []string{"-o", "default_permissions," + options, mountpoint}
	r := run(t, call)
	wantMounted(t, r, mountpoint)
	s := fuseserver.Serve(r.Dev, fuseserver.Tree{Files: map[string][]byte{"hello": []byte("hello, world\n")}})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// A mount on another user's mount goes by its descriptor, which the kernel does even if it
// is in use. So -u looks for its users first.
func TestBusyOnVolume(t *testing.T) {
	for read, deny := range waysToRead {
		t.Run(read, func(t *testing.T) {
			call, _ := asUser(t)
			mountpoint := onVolume(t)
			s := serveOn(t, call, mountpoint, "")
			call.Deny = deny
			for _, use := range []string{"cd " + mountpoint, "exec 5<" + mountpoint + "/hello"} {
				t.Run(strings.Fields(use)[0], func(t *testing.T) {
					pid := holder(t, alice, use)
					wantBusy(t, call, mountpoint, s, fmt.Sprintf("used by sh (pid %d)", pid), "")
				})
			}
			if _, found := fusetest.FindMount(t, mountpoint); !found {
				t.Fatal("it is gone")
			}
			lazy := call
			lazy.Socket = helpertest.NoSocket
			holder(t, alice, "cd "+mountpoint)
			lazy.Args = []string{"-uz", mountpoint}
			if r := run(t, lazy); r.Exit != 0 || r.Stderr != "" {
				t.Errorf("-z: exit %d, %q", r.Exit, r.Stderr)
			}
		})
	}
}

// A file that is only mapped keeps the mount busy, too.
func TestBusyMapped(t *testing.T) {
	call, _ := asUser(t)
	writeFile(t, "/etc/fuse.conf", "user_allow_other\n")
	t.Cleanup(func() { _ = os.Remove("/etc/fuse.conf") })
	mountpoint := onVolume(t)
	s := serveOn(t, call, mountpoint, "allow_other")
	f, err := os.Open(filepath.Join(mountpoint, "hello"))
	must(t, err)
	memory, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ, unix.MAP_PRIVATE)
	must(t, err, f.Close())
	root := call
	root.KeepRoot = true
	wantBusy(t, root, mountpoint, s, fmt.Sprintf("(pid %d)", os.Getpid()), "")
	must(t, unix.Munmap(memory))
	if r := look(t, root, "-u", mountpoint); r.Exit != 0 || r.Stderr != "" {
		t.Errorf("exit %d, %q", r.Exit, r.Stderr)
	}
}

// A file that backs a loop device keeps the mount busy, and no process holds it.
func TestBusyLoop(t *testing.T) {
	call, _ := asUser(t)
	writeFile(t, "/etc/fuse.conf", "user_allow_other\n")
	t.Cleanup(func() { _ = os.Remove("/etc/fuse.conf") })
	mountpoint, s := serveMount(t, call, "allow_other")
	out, err := exec.Command("losetup", "--read-only", "--find", "--show", mountpoint+"/hello").Output()
	if err != nil {
		fusetest.Skip(t, "install losetup, and provide loop devices: "+err.Error())
	}
	device := strings.TrimSpace(string(out))
	detach := sync.OnceFunc(func() { must(t, exec.Command("losetup", "--detach", device).Run()) })
	t.Cleanup(detach)
	r := look(t, call, "-u", mountpoint)
	if r.Exit != 1 {
		t.Errorf("exit %d, %q", r.Exit, r.Stderr)
	}
	wantHint(t, r, "used by "+device+" (see losetup(8))")
	wantFinding(t, findings(t, call, mountpoint), "ok mountpoint "+mountpoint, "used by the loop device "+device+" of "+mountpoint+"/hello")
	detach()
	must(t, s.Close())
}

// Another user's processes cannot be seen: what holds the mount then is not known.
func TestVolumeHeldByOthers(t *testing.T) {
	call, _ := asUser(t)
	writeFile(t, "/etc/fuse.conf", "user_allow_other\n")
	t.Cleanup(func() { _ = os.Remove("/etc/fuse.conf") })
	mountpoint := onVolume(t)
	serveOn(t, call, mountpoint, "allow_other")
	holder(t, bob, "cd "+mountpoint)
	call.Socket, call.Args = helpertest.NoSocket, []string{"-u", mountpoint}
	if r := run(t, call); r.Exit != 0 || r.Stderr != "" {
		t.Errorf("exit %d, %q", r.Exit, r.Stderr)
	}
}

// A mount inside is named, whoever owns it.
func TestMountInsideIsNamed(t *testing.T) {
	call, mountpoint := asUser(t)
	serveOn(t, call, mountpoint, "")
	bindInside(t, mountpoint+"/hello")
	lazy := call
	lazy.Socket, lazy.Args = helpertest.NoSocket, []string{"-uz", mountpoint}
	r := run(t, lazy)
	if r.Exit != 1 {
		t.Errorf("exit %d, %q", r.Exit, r.Stderr)
	}
	wantHint(t, r, mountpoint+"/hello")
	if r := look(t, call, "-u", mountpoint); !strings.Contains(r.Stderr, "hint: unmount "+mountpoint+"/hello first") {
		t.Errorf("%q", r.Stderr)
	}
}
