package e2e

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
	"github.com/go-fusermount/fusermount/internal/wire"
)

// These are a hostile pod's attempts. What every client of the service can try is tested in
// tools/conformance and tools/races; here is what the volumes add.

// Without a volume nobody gets to a socket.
func TestOtherSocketsAreClosed(t *testing.T) {
	p := startPlugin(t)
	p.publish("one", nil)
	for _, path := range []string{filepath.Join(p.target("one"), "socket"), p.state("csi.sock"), p.state("volumes")} {
		err := fusetest.AsUser(alice, alice, func() error {
			_, err := os.Stat(path)
			return err
		})
		if !errors.Is(err, unix.EACCES) {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, path := range []string{p.state("csi.sock"), filepath.Join(p.dir, "plugins_registry/fusermount.go-fusermount.github.io-reg.sock")} {
		if info, err := os.Stat(path); err != nil || info.Mode() != os.ModeSocket|0o600 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
}

// What a pod has not asked for, or may not have, it does not get.
func TestTermsAreKept(t *testing.T) {
	p := startPlugin(t, "--allow-other", "always")
	plain := p.publish("plain", map[string]string{"fsTypes": "sshfs"})
	other := p.publish("other", map[string]string{"allowOther": "true"})
	mountpoint := fusetest.Dir(t, alice)
	for _, c := range []struct{ options, want string }{
		{"subtype=rclone", `file systems of type "rclone" may not be mounted here`},
		{"fsname=sshfs", `file systems of type "" may not be mounted here`},
		{"subtype=sshfs,allow_other", "option allow_other only allowed"},
	} {
		wantRefused(t, client(t, plain, alice, "-o", c.options, mountpoint), c.want)
	}
	for _, dir := range []string{"/etc", "/proc/self", fusetest.Dir(t, alice+1), fusetest.Dir(t, 0)} {
		wantRefused(t, client(t, plain, alice, "-o", "subtype=sshfs", dir), "")
		wantRefused(t, client(t, other, alice, dir), "")
	}
	mount(t, plain, alice, "-o", "subtype=sshfs,suid,dev", mountpoint)
	if m, found := fusetest.FindMount(t, mountpoint); !found || !strings.Contains(m.Options, "nosuid,nodev") {
		t.Errorf("%+v", m)
	}
	shared := fusetest.Dir(t, alice)
	mount(t, other, alice, "-o", "allow_other", shared)
	wantHello(t, shared, alice+1)
}

// allow_other for pods in user namespaces of their own is not for others.
func TestAllowOtherOutsideOfUserNamespace(t *testing.T) {
	p := startPlugin(t, "--allow-other", "userns")
	dir := p.publish("one", map[string]string{"allowOther": "true"})
	wantRefused(t, client(t, dir, alice, "-o", "allow_other", fusetest.Dir(t, alice)), "option allow_other only allowed")
}

// A pod unmounts its own file systems and no others.
func TestUnmountOthers(t *testing.T) {
	p := startPlugin(t)
	dir := p.publish("one", nil)
	roots, others := fusetest.Dir(t, 0), fusetest.Dir(t, alice+1)
	helpertest.Must(t, unix.Mount("tmpfs", roots, "tmpfs", 0, ""))
	mount(t, dir, alice+1, others)
	for _, mountpoint := range []string{roots, others, dir, "/proc"} {
		for _, flags := range []string{"-u", "-uz"} {
			call := client(t, dir, alice, flags, mountpoint)
			call.Socket = helpertest.NoSocket
			wantRefused(t, call, "")
		}
	}
	wantHello(t, others, alice+1)
}

// A pod can fill its own volume, and not the node.
func TestFillVolume(t *testing.T) {
	p := startPlugin(t)
	dir := p.publish("one", map[string]string{"mode": "volume"})
	var full, files error
	helpertest.Must(t, fusetest.AsUser(alice, alice, func() error {
		full = os.WriteFile(filepath.Join(dir, "fuse"), make([]byte, 1<<20), 0)
		for i := 0; i < 1000 && files == nil; i++ {
			files = os.WriteFile(filepath.Join(dir, "serve", strings.Repeat("x", i+1)), nil, 0o600)
		}
		return nil
	}))
	if !errors.Is(full, unix.ENOSPC) || !errors.Is(files, unix.ENOSPC) && !errors.Is(files, unix.ENAMETOOLONG) {
		t.Errorf("%v, %v", full, files)
	}
	// Nothing can be proved in a full volume, but it is removed as any other.
	p.kill()
	p.start()
	p.unpublish("one")
	p.wantNothing()
}

// A pod that connects without end, and says nothing, keeps no other pod waiting.
func TestFlood(t *testing.T) {
	p := startPlugin(t, "--max-queue-per-volume", "20")
	flooded, other := p.publish("flooded", nil), p.publish("other", nil)
	refused := 0
	for range 200 {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		helpertest.Must(t, err)
		t.Cleanup(func() { _ = unix.Close(fd) })
		helpertest.Must(t, unix.Connect(fd, &unix.SockaddrUnix{Name: filepath.Join(flooded, "socket")}))
		limit := unix.NsecToTimeval(int64(time.Second))
		helpertest.Must(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit))
		buf := make([]byte, wire.MaxReply)
		if _, err := unix.Read(fd, buf); err != nil { // the greeting
			t.Fatal(err)
		}
		if n, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT); err == nil && bytes.Contains(buf[:n], []byte("busy")) {
			refused++
		}
	}
	if refused == 0 {
		t.Error("nobody was refused")
	}
	mount(t, other, alice, fusetest.Dir(t, alice))
	if lines := strings.Count(p.log.String(), "pod=flooded"); lines > 80 {
		t.Errorf("%d lines in the log", lines)
	}
	p.unpublish("flooded")
	p.unpublish("other")
	p.wantNothing()
}

// The plugin dies while it makes or removes volumes. Afterwards all are as if nothing had happened.
func TestKilledAtWork(t *testing.T) {
	p := startPlugin(t)
	const rounds = 15
	for i := range rounds {
		done := make(chan error, 1)
		go func() { done <- p.tryPublish(p.publishRequest("one", map[string]string{"mode": "volume"})) }()
		time.Sleep(time.Duration(i) * time.Millisecond) // a moment of its work; any will do
		p.kill()
		p.start()
		if err := <-done; err == nil && len(fusetest.MountsAt(t, p.target("one"))) == 0 {
			t.Errorf("round %d: a published volume is gone", i)
		}
		dir := p.publish("one", map[string]string{"mode": "volume"})
		s := mount(t, dir, alice, filepath.Join(dir, "serve"))
		go func() {
			time.Sleep(time.Duration(i) * time.Millisecond)
			p.kill()
			done <- nil
		}()
		_ = p.tryUnpublish("one") // it may be killed meanwhile
		<-done
		p.start()
		p.unpublish("one")
		p.wantNothing()
		helpertest.Must(t, s.Close(), fusetest.DetachBelow(dir))
	}
}
