package conformance

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// waysToMount are the two ways, forced in turn.
var waysToMount = map[string][]helpertest.Denied{
	"fsopen": nil,
	"mount2": helpertest.NoFsopen,
}

// A mount whose device cannot be sent is taken back, whatever the reason.
func TestSendFails(t *testing.T) {
	for way, deny := range waysToMount {
		causes := map[string]func(*helpertest.Call){
			"full socket":     func(c *helpertest.Call) { c.Prefill = true },
			"full seqpacket":  func(c *helpertest.Call) { c.Prefill, c.Socket = true, helpertest.Seqpacket },
			"peer gone":       func(c *helpertest.Call) { c.HangUp = true },
			"SIGPIPE ignored": func(c *helpertest.Call) { c.HangUp, c.Ignore = true, []unix.Signal{unix.SIGPIPE} },
			"sendmsg denied":  func(c *helpertest.Call) { c.Deny = append(c.Deny, helpertest.Deny(unix.ENOBUFS, "sendmsg")...) },
		}
		if runtime.GOARCH == "386" {
			delete(causes, "sendmsg denied") // 386 uses socketcall(2), whose arguments no filter sees
		}
		for name, spoil := range causes {
			t.Run(way+"/"+name, func(t *testing.T) {
				call, mountpoint := asUser(t)
				call.Deny = deny
				spoil(&call)
				wantRefusal(t, run(t, call), mountpoint, "failed to send the fuse descriptor: ")
			})
		}
	}
}

// A comm descriptor of another kind is refused before anything is mounted.
func TestCommIsNoUnixSocket(t *testing.T) {
	call, mountpoint := asUser(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	inet, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	directory, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]*os.File{
		"pipe": w, "inet": os.NewFile(uintptr(inet), "inet"), "directory": directory,
	} {
		t.Run(name, func(t *testing.T) {
			call.Comm = file
			wantRefusal(t, run(t, call), mountpoint, "can't send fuse fd")
		})
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// The socket may be any number, the standard streams included.
func TestCommNumbers(t *testing.T) {
	for _, fd := range []int{3, 4, 9, 200} {
		call, mountpoint := asUser(t)
		call.CommFD = fd
		wantMounted(t, run(t, call), mountpoint)
		unmount(t, call, mountpoint)
	}
	for _, fd := range []int{0, 1, 2} {
		call, mountpoint := asUser(t)
		call.CommFD, call.CommStdin = fd, fd == 0
		call.Args = []string{"-o", "suid", mountpoint} // a message must not be mixed with the reply
		wantMounted(t, run(t, call), mountpoint)
		unmount(t, call, mountpoint)
	}
}

// Missing standard streams make no difference.
func TestClosedStreams(t *testing.T) {
	call, mountpoint := asUser(t)
	call.CloseFDs = []int{0, 1, 2}
	wantMounted(t, run(t, call), mountpoint)
	unmount(t, call, mountpoint)
}

// A datagram pair is refused: the peer's end cannot be noticed.
func TestDatagram(t *testing.T) {
	call, mountpoint := asUser(t)
	call.Socket = helpertest.Dgram
	wantRefusal(t, run(t, call), mountpoint, "can't send fuse fd")
}
