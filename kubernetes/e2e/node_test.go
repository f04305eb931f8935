package e2e

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

func dialUnix(path string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
}

// hello is what the file systems of these tests have.
var hello = fuseserver.Tree{Files: map[string][]byte{"hello": []byte("world\n")}}

// mount mounts with the client of a volume, and serves.
func mount(t *testing.T, dir string, uid uint32, args ...string) *fuseserver.Server {
	t.Helper()
	r := helpertest.Run(t, client(t, dir, uid, args...))
	if r.Exit != 0 || r.Dev == nil {
		t.Fatalf("mount: exit %d, %s", r.Exit, r.Stderr)
	}
	s := fuseserver.Serve(r.Dev, hello)
	t.Cleanup(func() { _ = s.Close() }) // a test may have closed it
	return s
}

// wantHello reads a mounted file system as a user.
func wantHello(t *testing.T, dir string, uid uint32) {
	t.Helper()
	var text []byte
	err := fusetest.AsUser(uid, uid, func() (err error) {
		text, err = os.ReadFile(filepath.Join(dir, "hello"))
		return err
	})
	if err != nil || string(text) != "world\n" {
		t.Errorf("%q, %v", text, err)
	}
}

func wantRefused(t *testing.T, call helpertest.Call, want string) {
	t.Helper()
	r := helpertest.Run(t, call)
	if r.Exit != 1 || !strings.Contains(r.Stderr, want) || r.NFDs != 0 {
		t.Errorf("%q: exit %d, %d descriptors, %q; want 1, 0, %q", call.Args, r.Exit, r.NFDs, r.Stderr, want)
	}
}

// A volume has what a pod needs, and goes without a trace.
func TestPublish(t *testing.T) {
	p := startPlugin(t)
	dir := p.publish("one", nil)
	for name, want := range map[string]os.FileMode{
		".": os.ModeDir | 0o755, "socket": os.ModeSocket | 0o777, "fuse": 0o666, "fusermount3": 0o755,
	} {
		if info, err := os.Lstat(filepath.Join(dir, name)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	// All pods share the client: not even root can change it.
	program := filepath.Join(dir, "fusermount3")
	if err := errors.Join(os.WriteFile(program, nil, 0), os.Chmod(program, 0o4755), os.Chown(program, alice, alice)); err == nil ||
		strings.Count(err.Error(), unix.EPERM.Error()) != 3 {
		t.Errorf("the client can be changed: %v", err)
	}
	mountpoint := fusetest.Dir(t, alice)
	mount(t, dir, alice, mountpoint)
	wantHello(t, mountpoint, alice)
	helpertest.Must(t, p.tryPublish(p.publishRequest("one", nil))) // once more, as the kubelet may
	wantHello(t, mountpoint, alice)
	call := client(t, dir, alice, "-u", mountpoint)
	call.Socket = helpertest.NoSocket
	if r := helpertest.Run(t, call); r.Exit != 0 {
		t.Errorf("unmount: %s", r.Stderr)
	}
	p.unpublish("one")
	p.wantNothing()
	if _, err := os.Lstat(p.target("one")); !os.IsNotExist(err) {
		t.Errorf("the target is still there: %v", err)
	}
	p.unpublish("one") // once more
}

func TestPublishRefused(t *testing.T) {
	p := startPlugin(t, "--mount-max", "5", "--allow-other", "never", "--volume-mode=false")
	p.publish("there", nil)
	for _, c := range []struct {
		name, value string
		code        codes.Code
		want        string
	}{
		{"mountMax", "6", codes.InvalidArgument, "between 1 and 5"},
		{"allowOther", "true", codes.InvalidArgument, "not granted"},
		{"mode", "volume", codes.InvalidArgument, "not granted"},
		{"suid", "true", codes.InvalidArgument, "unknown attribute"},
		{"csi.storage.k8s.io/ephemeral", "false", codes.InvalidArgument, "ephemeral"},
	} {
		wantCode(t, p.tryPublish(p.publishRequest("bad", map[string]string{c.name: c.value})), c.code, c.want)
	}
	other := p.publishRequest("there", map[string]string{"mountMax": "2"})
	wantCode(t, p.tryPublish(other), codes.AlreadyExists, "other attributes")
	other = p.publishRequest("there", nil)
	other.TargetPath = p.target("elsewhere")
	wantCode(t, p.tryPublish(other), codes.AlreadyExists, "elsewhere")
	for what, change := range map[string]func(){
		"read-only":  func() { other.Readonly = true },
		"relative":   func() { other.TargetPath = "pods/x" },
		"mount flag": func() { other.VolumeCapability.GetMount().MountFlags = []string{"suid"} },
	} {
		other = p.publishRequest("bad", nil)
		change()
		wantCode(t, p.tryPublish(other), codes.InvalidArgument, "")
		if t.Failed() {
			t.Fatal(what)
		}
	}
	p.unpublish("there")
	p.wantNothing()
}

// Mounts outlive the plugin, and their volumes work again when it is back: at the same place, with
// the same limit.
func TestRestart(t *testing.T) {
	p := startPlugin(t)
	dir := p.publish("one", map[string]string{"mountMax": "2"})
	first, second, third := fusetest.Dir(t, alice), fusetest.Dir(t, alice), fusetest.Dir(t, alice)
	mount(t, dir, alice, first)
	for _, end := range []func(){p.kill, p.stop} {
		end()
		wantHello(t, first, alice)
		wantRefused(t, client(t, dir, alice, second), "no mount service")
		p.start()
	}
	server := mount(t, dir, alice, second)
	wantRefused(t, client(t, dir, alice, third), "too many FUSE filesystems")
	helpertest.Must(t, unix.Unmount(second, 0), server.Close())
	mount(t, dir, alice, third)
	wantHello(t, first, alice)
	p.unpublish("one")
	p.wantNothing()
}

// Each volume counts its own file systems: no pod takes another one's share.
func TestMountMax(t *testing.T) {
	p := startPlugin(t, "--mount-max-default", "1")
	one, two := p.publish("one", nil), p.publish("two", nil)
	mount(t, one, alice, fusetest.Dir(t, alice))
	wantRefused(t, client(t, one, alice, fusetest.Dir(t, alice)), "too many FUSE filesystems")
	wantRefused(t, client(t, one, alice+1, fusetest.Dir(t, alice+1)), "too many FUSE filesystems") // another user of the pod
	mount(t, two, alice, fusetest.Dir(t, alice))
	if metrics := p.get("/metrics"); !strings.Contains(metrics, `fusermount_requests_total{operation="mount",result="mount_max"} 2`) ||
		!strings.Contains(metrics, "fusermount_mounts 2") || !strings.Contains(metrics, "fusermount_volumes 2") {
		t.Error(metrics)
	}
	if log := p.log.String(); !strings.Contains(log, "pod=one") || !strings.Contains(log, "namespace=apps") {
		t.Error("a refusal is not in the log")
	}
}

// The plugin removes what has no pod any more, or no record.
func TestClean(t *testing.T) {
	p := startPlugin(t, "--clean-interval", "20ms")
	p.publish("one", nil)
	p.publish("two", nil)
	helpertest.Must(t, unix.Unmount(p.target("one"), unix.MNT_DETACH), os.RemoveAll(filepath.Join(p.dir, "pods/uid-of-one")))
	p.await("the volume of a pod that is gone is removed", func() bool {
		return strings.Contains(p.get("/metrics"), "fusermount_volumes 1\n")
	})
	p.kill()
	records, err := os.ReadDir(p.state("volumes"))
	helpertest.Must(t, err)
	for _, r := range records {
		helpertest.Must(t, os.Remove(filepath.Join(p.state("volumes"), r.Name())))
	}
	helpertest.Must(t, os.WriteFile(p.state("volumes/.new-1"), nil, 0o600), os.WriteFile(p.state("volumes/x.json"), []byte("{"), 0o600))
	p.start()
	if len(fusetest.MountsAt(t, p.target("two"))) != 0 {
		t.Error("a volume without a record stays")
	}
	helpertest.Must(t, os.Remove(p.state("volumes/x.json")))
	p.wantNothing()
}
