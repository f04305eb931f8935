package helpertest

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/testsys"
)

func TestCallReceives(t *testing.T) {
	fusetest.NeedNamespace(t)
	for _, kind := range []SocketKind{Stream, Seqpacket, Dgram} {
		for _, fd := range []int{0, 1, 9} { // 0 means 3
			c := probe(t, "sendfd")
			c.Socket, c.CommFD = kind, fd
			r := run(t, c)
			if r.Dev == nil || r.NFDs != 1 || r.Messages != 1 || string(r.Bytes) != "\x00" || r.Truncated {
				t.Fatalf("kind %d: %+v", kind, r)
			}
			testsys.MustClose(r.Dev)
		}
	}
}

func TestCallStreams(t *testing.T) {
	fusetest.NeedNamespace(t)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer testsys.MustClose(read)
	for _, given := range []string{"stdout", "stderr"} {
		c := probe(t, "argv")
		c.Socket, c.Args = NoSocket, []string{"there"}
		if given == "stdout" {
			c.Stdout = write
		} else {
			c.Stderr = write
		}
		if r := run(t, c); strings.Contains(r.Stdout, "there") == (given == "stdout") || r.Held {
			t.Errorf("%s: %+v", given, r)
		}
	}
	testsys.MustClose(write)
	if text, err := io.ReadAll(read); err != nil || strings.Count(string(text), "there") != 1 {
		t.Errorf("%q, %v", text, err)
	}
}

func TestCallCommStdin(t *testing.T) {
	fusetest.NeedNamespace(t)
	c := probe(t, "sendfd")
	c.CommStdin = true
	r := run(t, c)
	if r.Dev == nil {
		t.Fatalf("%+v", r)
	}
	testsys.MustClose(r.Dev)
}

func TestCallBadSockets(t *testing.T) {
	fusetest.NeedNamespace(t)
	full, gone := probe(t, "sendfd"), probe(t, "sendfd")
	full.Prefill, gone.HangUp = true, true
	if r := full.Run(within(t)); r.Exit != 1 || r.Stderr != "11\n" || r.NFDs != 0 || len(r.Bytes) == 0 {
		t.Errorf("full: exit %d, %q, %d bytes, %v", r.Exit, r.Stderr, len(r.Bytes), r.Err)
	}
	if r := gone.Run(within(t)); r.Exit != 1 || r.Stderr != "32\n" || r.Err != nil {
		t.Errorf("gone: %+v", r)
	}
	none := probe(t, "argv")
	none.Socket = NoSocket
	if r := run(t, none); strings.Contains(r.Stdout, "_FUSE_COMMFD") || r.EOF {
		t.Errorf("none: %+v", r)
	}
}

func TestCallComm(t *testing.T) {
	fusetest.NeedNamespace(t)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer testsys.MustClose(null)
	c := probe(t, "sendfd")
	c.Comm = null
	if r := c.Run(within(t)); r.Exit != 1 || r.Stderr != "88\n" { // ENOTSOCK
		t.Errorf("%+v", r)
	}
}

func TestCallArguments(t *testing.T) {
	fusetest.NeedNamespace(t)
	for _, shim := range []bool{false, true} {
		c := probe(t, "argv")
		c.Argv = []string{"odd name", "a\xffb\n", ""}
		c.Env = append(c.Env, "X=\xfe", "X=2", "no equals sign")
		c.NoNewPrivs = shim
		want := `["odd name" "a\xffb\n" ""] ["FUSETEST_PROBE=argv" "X=\xfe" "X=2" "no equals sign" "_FUSE_COMMFD=3"]` + "\n"
		if r := run(t, c); r.Stdout != want {
			t.Errorf("shim %t: %s", shim, r.Stdout)
		}
		c.Argv = []string{}
		if r := run(t, c); !strings.HasPrefix(r.Stdout, `[""] [`) && !strings.HasPrefix(r.Stdout, `[] [`) {
			t.Errorf("argc 0, shim %t: %s", shim, r.Stdout)
		}
	}
}

func TestCallOutput(t *testing.T) {
	fusetest.NeedNamespace(t)
	r := run(t, probe(t, "loud"))
	if len(r.Stdout) != 300<<10 || r.Stderr != "done" || r.Held {
		t.Errorf("%d bytes, %q, held %t", len(r.Stdout), r.Stderr, r.Held)
	}
}

func TestCallStart(t *testing.T) {
	fusetest.NeedNamespace(t)
	p, err := probe(t, "block").Start(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Receive(time.Time{}); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	if err := p.CloseSocket(); err != nil {
		t.Error(err)
	}
	if r := p.Wait(); r.Exit != 7 || r.Stdout != "started\n" || r.Err != nil {
		t.Errorf("%+v", r)
	}
}

func TestCallReceiveWaits(t *testing.T) {
	fusetest.NeedNamespace(t)
	p, err := probe(t, "sendfd").Start(within(t))
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Receive(time.Now().Add(fusetest.Patience))
	if err != nil || got.NFDs != 1 {
		t.Fatal(got, err)
	}
	testsys.MustClose(got.Dev)
	if r := p.Wait(); r.Exit != 0 || r.NFDs != 0 || !r.EOF {
		t.Errorf("%+v", r)
	}
}

func TestCallCancel(t *testing.T) {
	fusetest.NeedNamespace(t)
	ctx, cancel := context.WithCancel(within(t))
	p, err := probe(t, "block").Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if r := p.Wait(); r.Signal != unix.SIGKILL || r.Exit != -1 || !errors.Is(r.Err, context.Canceled) {
		t.Errorf("%+v", r)
	}
}

func TestCallNoProgram(t *testing.T) {
	before := openFDs(t)
	for range 20 {
		if r := (Call{Prog: "/no/such/program", KeepRoot: true}).Run(within(t)); !errors.Is(r.Err, unix.ENOENT) || r.Exit != -1 {
			t.Fatalf("%+v", r)
		}
	}
	if after := openFDs(t); after > before+2 { // the poller's own, at the first use
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func openFDs(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestCallIDs(t *testing.T) {
	fusetest.NeedRoot(t)
	for _, shim := range []bool{false, true} {
		c := probe(t, "ids")
		c.UID, c.GID, c.Groups = 54321, 54322, []uint32{7, 8}
		want := "54321 54321 54321 54322 54322 54322 [7 8] <nil> 0 <nil>\n"
		if shim {
			c.Deny = Deny(unix.EPERM, "fsopen")
		}
		if r := run(t, c); r.Stdout != want {
			t.Errorf("shim %t: %s", shim, r.Stdout)
		}
	}
}

// TestCallSetuid makes sure that a filter leaves the setuid bit its effect.
func TestCallSetuid(t *testing.T) {
	fusetest.NeedRoot(t)
	for mode, euid := range map[fusetest.InstallMode]string{fusetest.Setuid: "0", fusetest.Setcap: "1000", fusetest.Plain: "1000"} {
		c := probe(t, "ids")
		c.Prog = fusetest.InstallHelper(t, "/proc/self/exe", mode)
		c.UID, c.GID = 1000, 1000
		c.Deny = Deny(unix.EPERM, "fsopen")
		if r := run(t, c); !slices.Equal(strings.Fields(r.Stdout)[:3], []string{"1000", euid, euid}) {
			t.Errorf("%s: %s", mode, r.Stdout)
		}
	}
}
