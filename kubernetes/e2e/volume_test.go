package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
	"github.com/go-fusermount/fusermount/internal/wire"
)

// One container serves, and the others of the pod see it. When the daemon dies they get an error,
// until a new one serves the same volume.
func TestVolumeMode(t *testing.T) {
	p := startPlugin(t)
	sidecar := p.publish("one", map[string]string{"mode": "volume", "mountMax": "2"})
	other := inContainer(t, p.target("one"))
	serve, volume := filepath.Join(sidecar, "serve"), filepath.Join(other, "volume")
	wantEmpty(t, volume)

	first := mount(t, sidecar, alice, serve)
	wantHello(t, volume, alice)
	wantEmpty(t, serve) // nothing is in the way of the next daemon
	restarted := inContainer(t, p.target("one"))
	wantHello(t, filepath.Join(restarted, "volume"), alice)

	helpertest.Must(t, first.Close()) // as if it had died
	for _, dir := range []string{other, restarted} {
		wantDead(t, filepath.Join(dir, "volume"))
	}
	second := mount(t, sidecar, alice, serve)
	for _, dir := range []string{other, restarted} {
		wantHello(t, filepath.Join(dir, "volume"), alice)
	}
	third := mount(t, sidecar, alice, serve) // takes the place of one that lives
	wantHello(t, volume, alice)

	for _, name := range []string{"serve", "volume"} {
		call := client(t, sidecar, alice, "-u", filepath.Join(sidecar, name))
		call.Socket = helpertest.NoSocket
		if r := helpertest.Run(t, call); r.Exit != 0 {
			t.Errorf("unmount %s: %s", name, r.Stderr)
		}
		wantEmpty(t, volume)
		helpertest.Must(t, second.Close(), third.Close())
		third = mount(t, sidecar, alice, serve)
	}
	p.kill()
	p.start()
	wantHello(t, volume, alice)
	p.unpublish("one")
	p.wantNothing()
}

// With auto_unmount the volume is empty when the daemon has died, unless another one serves it by then.
func TestVolumeModeAutoUnmount(t *testing.T) {
	p := startPlugin(t)
	sidecar := p.publish("one", map[string]string{"mode": "volume"})
	volume := filepath.Join(inContainer(t, p.target("one")), "volume")
	start := func() (*helpertest.Proc, *fuseserver.Server) {
		t.Helper()
		daemon, err := client(t, sidecar, alice, "-o", "auto_unmount", filepath.Join(sidecar, "serve")).Start(t.Context())
		helpertest.Must(t, err)
		got, err := daemon.Receive(time.Now().Add(fusetest.Patience))
		helpertest.Must(t, err)
		server := fuseserver.Serve(got.Dev, hello)
		t.Cleanup(func() { _ = server.Close() })
		wantHello(t, volume, alice)
		return daemon, server
	}
	die := func(daemon *helpertest.Proc, server *fuseserver.Server) {
		t.Helper()
		helpertest.Must(t, server.Close(), daemon.CloseSocket())
		if r := daemon.Wait(); r.Exit != 0 {
			t.Errorf("exit %d, %s", r.Exit, r.Stderr)
		}
	}
	first, firstServer := start()
	second, secondServer := start()
	die(first, firstServer)
	p.await("the first one's worker ends", func() bool { return p.workersOf(alice) == 1 })
	wantHello(t, volume, alice)
	die(second, secondServer)
	p.await("the volume is empty", func() bool { return len(fusetest.MountsAt(t, volume)) == 0 })
	wantEmpty(t, volume)
	p.unpublish("one")
	p.wantNothing()
}

// Who may not serve the volume does not take away what is served.
func TestVolumeModeRefused(t *testing.T) {
	p := startPlugin(t)
	sidecar := p.publish("one", map[string]string{"mode": "volume", "fsTypes": "hello"})
	serve, volume := filepath.Join(sidecar, "serve"), filepath.Join(inContainer(t, p.target("one")), "volume")
	mount(t, sidecar, alice, "-o", "subtype=hello", serve)
	wantRefused(t, client(t, sidecar, alice, "-o", "subtype=other", serve), "may not be mounted here")
	wantHello(t, volume, alice)

	// A client that writes its messages itself, and has not shown that it may write.
	connection, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	helpertest.Must(t, err)
	defer unix.Close(connection)
	parent, err := unix.Open(sidecar, unix.O_PATH|unix.O_CLOEXEC, 0)
	helpertest.Must(t, err)
	defer unix.Close(parent)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	helpertest.Must(t, err)
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	helpertest.Must(t, fusetest.AsUser(alice+1, alice+1, func() error {
		return unix.Connect(connection, &unix.SockaddrUnix{Name: filepath.Join(sidecar, "socket")})
	}))
	buf := make([]byte, wire.MaxReply)
	_, err = unix.Read(connection, buf) // the greeting
	helpertest.Must(t, err)
	request := wire.Request{Op: wire.Mount, Name: "serve", Path: serve, Subtype: "hello"}
	helpertest.Must(t, unix.Sendmsg(connection, request.Append(nil), unix.UnixRights(parent, pair[1]), nil, 0))
	n, err := unix.Read(connection, buf)
	helpertest.Must(t, err)
	if r, err := wire.ParseReply(buf[:n]); err != nil || !strings.Contains(r.Text, "no write access") {
		t.Errorf("%+v, %v", r, err)
	}
	wantHello(t, volume, alice)
	p.unpublish("one")
	p.wantNothing()
}

// A volume that hangs hangs nobody but its own pod.
func TestVolumeModeHung(t *testing.T) {
	p := startPlugin(t)
	sidecar := p.publish("one", map[string]string{"mode": "volume"})
	r := helpertest.Run(t, client(t, sidecar, alice, filepath.Join(sidecar, "serve")))
	if r.Exit != 0 {
		t.Fatal(r.Stderr)
	}
	// Nobody answers the kernel.
	p.publish("two", nil)
	p.kill()
	p.start()
	p.unpublish("two")
	p.unpublish("one")
	p.wantNothing()
}

// What the pod does to its volume's directories leads the service nowhere else.
func TestVolumeModeTricks(t *testing.T) {
	p := startPlugin(t)
	sidecar := p.publish("one", map[string]string{"mode": "volume"})
	serve, volume := filepath.Join(sidecar, "serve"), filepath.Join(sidecar, "volume")
	elsewhere := fusetest.Dir(t, alice)

	own := filepath.Join(elsewhere, "serve") // only the name is that of the volume's
	helpertest.Must(t, os.Mkdir(own, 0o755), os.Chown(own, alice, alice))
	mount(t, sidecar, alice, own)
	wantHello(t, own, alice)
	wantEmpty(t, volume)

	wantRefused(t, client(t, sidecar, alice, volume), "bad mount point")
	helpertest.Must(t, os.Remove(volume), os.Symlink(elsewhere, volume))
	wantRefused(t, rootClient(t, sidecar, serve), "")
	helpertest.Must(t, os.Remove(volume))
	wantRefused(t, rootClient(t, sidecar, serve), "")
	helpertest.Must(t, os.Mkdir(volume, 0o777), os.Chmod(volume, 0o777), os.Remove(serve), os.Symlink(elsewhere, serve))
	if r := helpertest.Run(t, client(t, sidecar, alice, serve)); r.Exit == 0 {
		wantMountedOnlyAt(t, elsewhere) // as any directory of theirs
	}
	if len(fusetest.MountsAt(t, filepath.Join(p.target("one"), "volume"))) != 0 {
		t.Error("something is mounted in the volume")
	}
	p.unpublish("one")
	p.wantNothing()
}

func wantMountedOnlyAt(t *testing.T, dir string) {
	t.Helper()
	if len(fusetest.MountsAt(t, dir)) != 1 {
		t.Errorf("nothing is mounted at %s", dir)
	}
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("%s: %v, %v; want an empty directory", dir, entries, err)
	}
}

func wantDead(t *testing.T, dir string) {
	t.Helper()
	err := fusetest.AsUser(alice, alice, func() error {
		_, err := os.ReadDir(dir)
		return err
	})
	if !errors.Is(err, unix.ENOTCONN) {
		t.Errorf("%s: %v, want ENOTCONN", dir, err)
	}
}
