package conformance

import (
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// Each success and each refusal is logged on one line.
func TestLog(t *testing.T) {
	call, mountpoint := asUser(t)
	privateDev(t)
	makeNode(t, "/dev/fuse", fuseMajor, fuseMinor, 0o666)
	socket := logSocket(t)
	call.Args = []string{"-o", "fsname=so\nurce,subtype=sub", mountpoint}
	wantMounted(t, run(t, call), mountpoint)
	wantLogged(t, socket, "uid 4242: mounted "+mountpoint+` type fuse.sub source so\012urce`)
	unmount(t, call, mountpoint)
	wantLogged(t, socket, "uid 4242: unmounted "+mountpoint+` type fuse.sub source so\012urce`)
	call.Args = []string{"-o", "f\noo", mountpoint}
	wantRefusal(t, run(t, call), mountpoint, "unknown option")
	wantLogged(t, socket, "uid 4242: mount of "+mountpoint+` refused: unknown option 'f\012oo'`)

	// No name is long enough to hide what was tried.
	call.Args = []string{"-o", strings.Repeat("\x01", 100000), mountpoint}
	wantRefusal(t, run(t, call), mountpoint, "unknown option")
	wantLogged(t, socket, "uid 4242: mount of "+mountpoint+" refused: unknown option '"+
		strings.Repeat(`\001`, 512-len("unknown option '"))+"[...]")
}

// Calls are also logged where the caller kills the helper as it sends the device, where
// the send fails, and where nothing is found.
func TestLogBefore(t *testing.T) {
	call, mountpoint := asUser(t)
	privateDev(t)
	makeNode(t, "/dev/fuse", fuseMajor, fuseMinor, 0o666)
	socket := logSocket(t)
	if runtime.GOARCH != "386" { // 386 uses socketcall(2), whose arguments no filter sees
		killed := call
		killed.Deny = kill("sendmsg")
		if r := run(t, killed); r.Signal == 0 || r.NFDs != 0 {
			t.Errorf("exit %d, %d descriptors", r.Exit, r.NFDs)
		}
		wantLogged(t, socket, "uid 4242: mounted "+mountpoint+" type fuse source /dev/fuse")
		unmount(t, call, mountpoint)
		wantLogged(t, socket, "uid 4242: unmounted "+mountpoint+" type fuse source /dev/fuse")
	}
	gone := call
	gone.HangUp = true
	wantRefusal(t, run(t, gone), mountpoint, "failed to send")
	wantLogged(t, socket, "uid 4242: mounted "+mountpoint+" type fuse source /dev/fuse")
	wantLogged(t, socket, "uid 4242: mount of "+mountpoint+" type fuse source /dev/fuse refused: failed to send the fuse descriptor: Broken pipe; the mount was taken back")
	absent := mountpoint + "/x"
	call.Args = []string{absent}
	wantRefusal(t, run(t, call), mountpoint, "No such file or directory")
	wantLogged(t, socket, "uid 4242: mount of "+absent+" type fuse source /dev/fuse refused: failed to access mountpoint "+absent+": No such file or directory")
	if r := run(t, unmountCall(call, "-u", absent)); r.Exit != 1 {
		t.Errorf("exit %d", r.Exit)
	}
	wantLogged(t, socket, "uid 4242: unmount of "+absent+" refused: entry for "+absent+" not found in /etc/mtab")
}

// The unmount of a watcher is logged, too.
func TestLogWatch(t *testing.T) {
	call, mountpoint := asUser(t)
	privateDev(t)
	makeNode(t, "/dev/fuse", fuseMajor, fuseMinor, 0o666)
	socket := logSocket(t)
	call.Args = []string{"-o", "auto_unmount,fsname=watched", mountpoint}
	w := startWatch(t, call, mountpoint)
	wantLogged(t, socket, "uid 4242: mounted "+mountpoint+" type fuse source watched")
	w.die(t)
	w.wantExit(t, 0)
	wantLogged(t, socket, "uid 4242: automatically unmounted "+mountpoint+" type fuse source watched")
}

// logSocket is syslog's socket, in a /dev of the test's own.
func logSocket(t *testing.T) *net.UnixConn {
	t.Helper()
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "/dev/log", Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := socket.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod("/dev/log", 0o666); err != nil {
		t.Fatal(err)
	}
	return socket
}

func wantLogged(t *testing.T, socket *net.UnixConn, want string) {
	t.Helper()
	if err := socket.SetReadDeadline(time.Now().Add(fusetest.Patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := socket.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(buf[:n]); !strings.HasPrefix(got, "<85>fusermount3[") || !strings.HasSuffix(got, "]: "+want) {
		t.Errorf("logged %q; want %q", got, want)
	}
}

// Scripts parse the version in these ways. Each must get libfuse's version, whatever our
// own looks like.
func TestVersionInScripts(t *testing.T) {
	for _, version := range []string{"v1.2.3-4-g0123456-dirty", "1.2.3-1ubuntu0.1"} {
		program := build(t, "0", "-X main.version="+version)
		for _, script := range []string{
			`awk '{print $3}'`,
			`cut -d' ' -f3`,
			`grep -oE '[0-9]+(\.[0-9]+)+'`,
			`grep -oE '[0-9]+\.[0-9]+'  | sed 's/$/.0/'`,
			`sed -E 's/[^0-9]*[0-9]*[^0-9]*([0-9]+(\.[0-9]+)*).*/\1/'`,
			`while read -r _ _ version _; do echo "$version"; done`,
		} {
			out, err := exec.Command("sh", "-c", `"$0" -V | `+script, program).CombinedOutput()
			if err != nil || string(out) != "3.19.0\n" {
				t.Errorf("%s, %s: %q, %v", version, script, out, err)
			}
		}
	}
}
