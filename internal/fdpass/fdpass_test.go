package fdpass

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseFD(t *testing.T) {
	for text, want := range map[string]int{"0": 0, "3": 3, "007": 7, "2147483647": 2147483647} {
		if got, err := ParseFD(text); err != nil || got != want {
			t.Errorf("ParseFD(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "+3", "3x", " 3", "3 ", "0x3", "2147483648", "99999999999999999999", "３"} {
		if got, err := ParseFD(text); err == nil {
			t.Errorf("ParseFD(%q) = %d; want an error", text, got)
		}
	}
}

func pair(t *testing.T, kind int) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Close(fds[0])
		_ = unix.Close(fds[1])
	})
	return fds[0], fds[1]
}

func TestSend(t *testing.T) {
	for name, kind := range map[string]int{"stream": unix.SOCK_STREAM, "seqpacket": unix.SOCK_SEQPACKET} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, kind)
			if err := Send(a, 2); err != nil {
				t.Fatal(err)
			}
			buf, oob := make([]byte, 8), make([]byte, 128)
			n, oobn, flags, _, err := unix.Recvmsg(b, buf, oob, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
			if err != nil || n != 1 || buf[0] != 0 || flags&unix.MSG_CTRUNC != 0 {
				t.Fatalf("received %d bytes %v, flags %x, %v", n, buf[:n], flags, err)
			}
			messages, err := unix.ParseSocketControlMessage(oob[:oobn])
			if err != nil || len(messages) != 1 {
				t.Fatalf("control messages: %v, %v", messages, err)
			}
			fds, err := unix.ParseUnixRights(&messages[0])
			if err != nil || len(fds) != 1 {
				t.Fatalf("descriptors: %v, %v", fds, err)
			}
			if err := unix.Close(fds[0]); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSendNeverWaits(t *testing.T) {
	a, b := pair(t, unix.SOCK_STREAM)
	for {
		_, err := unix.SendmsgN(a, make([]byte, 4096), nil, nil, unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := Send(a, 2); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("full socket: %v, want EAGAIN", err)
	}
	if err := unix.Shutdown(b, unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	if err := Send(a, 2); !errors.Is(err, unix.EPIPE) {
		t.Errorf("closed peer: %v, want EPIPE", err)
	}
}

func TestCheck(t *testing.T) {
	a, _ := pair(t, unix.SOCK_STREAM)
	if err := Check(a); err != nil {
		t.Errorf("a Unix socket: %v", err)
	}
	lonely, peer := pair(t, unix.SOCK_SEQPACKET)
	if err := unix.Shutdown(peer, unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	if err := Check(lonely); err != nil { // this shows when the device is sent
		t.Errorf("a Unix socket that was connected: %v", err)
	}
	file, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	inet, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(inet)
	alone, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(alone)
	for name, fd := range map[string]int{"a directory": int(file.Fd()), "closed": 1 << 20, "internet": inet, "unconnected": alone} {
		if Check(fd) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
