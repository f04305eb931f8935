package conformance

import (
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// A signal has no effect once the mount table was changed: the helper completes the work
// or takes it back. These tests stop it there by the lock of a table.

const otherLines = "SRC=x TARGET=/else ROOT=/ OPTS=x-y\n"

// lockedTable makes a utab with its lock taken.
func lockedTable(t *testing.T) (unlock func()) {
	t.Helper()
	writeFile(t, "/run/mount/utab", otherLines)
	t.Cleanup(func() { _ = os.RemoveAll("/run/mount") })
	return lockTable(t)
}

func lockTable(t *testing.T) (unlock func()) {
	t.Helper()
	lock, err := os.Create("/run/mount/utab.lock")
	must(t, err)
	must(t, unix.Flock(int(lock.Fd()), unix.LOCK_EX))
	unlock = func() { _ = lock.Close() } // it may be closed already
	t.Cleanup(unlock)
	return unlock
}

// recordedCall is alice's call for a mount that is recorded in utab.
func recordedCall(t *testing.T, args ...string) (call helpertest.Call, mountpoint string) {
	t.Helper()
	call, mountpoint = asUser(t)
	call.Args = append(args, "-o", "x-a", mountpoint)
	return call, mountpoint
}

func waitMounted(t *testing.T, mountpoint string, want bool) {
	t.Helper()
	for deadline := time.Now().Add(fusetest.Patience); ; time.Sleep(time.Millisecond) {
		if _, found := fusetest.FindMount(t, mountpoint); found == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("mounted %v for too long", !want)
		}
	}
}

// sendAll sends every signal that ends the program at other times.
func sendAll(t *testing.T, p *helpertest.Proc) {
	t.Helper()
	for _, sig := range fatal {
		must(t, p.Signal(sig))
	}
}

func TestSignalWhileMounting(t *testing.T) {
	for way, deny := range waysToMount {
		t.Run(way, func(t *testing.T) {
			call, mountpoint := recordedCall(t)
			call.Deny = deny
			unlock := lockedTable(t)
			p := helpertest.Start(t, call)
			waitMounted(t, mountpoint, true)
			sendAll(t, p)
			unlock()
			r := p.Wait()
			wantMounted(t, r, mountpoint)
			must(t, r.Dev.Close())
			wantTable(t, otherLines, 1)
			unmount(t, call, mountpoint)
			wantTable(t, otherLines, 0)
		})
	}
}

func TestSignalWhileMountingInVain(t *testing.T) {
	for way, deny := range waysToMount {
		t.Run(way, func(t *testing.T) {
			call, mountpoint := recordedCall(t)
			call.Deny, call.HangUp = deny, true
			unlock := lockedTable(t)
			p := helpertest.Start(t, call)
			waitMounted(t, mountpoint, true)
			sendAll(t, p)
			unlock()
			wantRefusal(t, p.Wait(), mountpoint, "failed to send the fuse descriptor: Broken pipe")
			wantTable(t, otherLines, 0)
		})
	}
}

func TestSignalWhileMountingInTwoPhases(t *testing.T) {
	call, mountpoint := recordedCall(t, "--sync-init")
	unlock := lockedTable(t)
	s := startSync(t, call, mountpoint)
	s.answer(t)
	waitMounted(t, mountpoint, true)
	sendAll(t, s.Proc)
	unlock()
	s.wantStatus(t, 0)
	s.wantSuccess(t)
	wantTable(t, otherLines, 0)
}

func TestSignalWhileUnmounting(t *testing.T) {
	for name, args := range map[string][]string{"-u": nil, "-u -z": {"-z"}} {
		t.Run(name, func(t *testing.T) {
			call, mountpoint := recordedCall(t)
			lockedTable(t)()
			wantMounted(t, run(t, call), mountpoint)
			wantTable(t, otherLines, 1)
			unlock := lockTable(t)
			p := helpertest.Start(t, unmountCall(call, append(args, mountpoint)...))
			waitMounted(t, mountpoint, false)
			sendAll(t, p)
			unlock()
			if r := p.Wait(); r.Exit != 0 || r.Stderr != "" {
				t.Errorf("exit %d, signal %v, %q", r.Exit, r.Signal, r.Stderr)
			}
			wantTable(t, otherLines, 0)
		})
	}
}

// A warning is printed after the device was sent: the reader may hang, and then a signal
// has to end the wait.
func TestWarningAfterHandOver(t *testing.T) {
	for name, options := range map[string]string{"a mount": "x-a", "auto_unmount": "x-a,auto_unmount"} {
		t.Run(name, func(t *testing.T) {
			call, mountpoint := recordedCall(t)
			call.Args = []string{"-o", options, mountpoint}
			lockedTable(t)
			call, pipe := redirected(t, call, unix.Stderr)
			p := helpertest.Start(t, call)
			got, err := p.Receive(time.Now().Add(fusetest.Patience))
			if err != nil || got.Dev == nil {
				t.Fatalf("%+v, %v", got, err)
			}
			waitIn(t, p, "write")
			must(t, p.Signal(unix.SIGTERM))
			wantSignalled(t, p, unix.SIGTERM)
			wantThere(t, mountpoint)
			must(t, got.Dev.Close())
			output := make([]byte, 1<<20)
			if n, err := pipe.Read(output); err != nil || strings.Contains(string(output[:n]), "warning") {
				t.Errorf("%v: %q", err, output[:n])
			}
		})
	}
}
