package conformance

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// build builds a helper with other settings.
func build(t *testing.T, cgo, settings string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "fusermount3")
	flags := "-ldflags=" + settings
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", program, flags, "./cmd/fusermount")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

// The time of the caller and the daemon is limited.
func TestSyncInitLimit(t *testing.T) {
	short := build(t, "0", "-E fusermount_entry -X github.com/go-fusermount/fusermount/internal/helper.syncInitLimit=1s")
	short = fusetest.InstallHelper(t, short, fusetest.Setuid)
	start := func() *twoPhase {
		call, mountpoint := syncCall(t, "")
		call.Prog = short
		return startSync(t, call, mountpoint)
	}
	never, hung := start(), start()
	if err := fusetest.SyncInit(hung.dev); err != nil {
		fusetest.Skip(t, "run a kernel with FUSE_DEV_IOC_SYNC_INIT (Linux 6.18): "+err.Error())
	}
	hung.answer(t) // and the daemon does not read INIT
	child := hung.waitCreating(t)
	never.wantStatus(t, unix.ETIMEDOUT)
	never.wantFailed(t, "mount given up: the caller did not answer: connection timed out")
	hung.wantStatus(t, unix.ETIMEDOUT)
	hung.wantFailed(t, "mount given up: the daemon did not answer the kernel: connection timed out")
	wantGone(t, child)
}

// A program that the C library starts does not begin at its entry point. It works,
// but not set-uid.
func TestBuiltWithC(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		fusetest.Skip(t, "install gcc: apt-get install gcc libc6-dev")
	}
	program := build(t, "1", "-linkmode=external")
	call, mountpoint := asUser(t)
	call.Prog = fusetest.InstallHelper(t, program, fusetest.Setuid)
	wantRefusal(t, run(t, call), mountpoint, "cannot become the caller: this program was built without its entry point")
	call.UID, call.GID, call.KeepRoot = 0, 0, true
	for range 20 { // the start of threads is not deterministic
		mountpoint := fusetest.Dir(t, 0)
		call.Args = []string{"-o", "auto_unmount", mountpoint}
		w := startWatch(t, call, mountpoint)
		waitIgnoring(t, w.Pid())
		w.die(t)
		w.wantExit(t, 0)
		wantNothing(t, mountpoint)
	}
}

// When the status cannot be sent, the mount is taken back.
func TestSyncInitStatusUnsent(t *testing.T) {
	for name, kind := range map[string]helpertest.SocketKind{"stream": helpertest.Stream, "seqpacket": helpertest.Seqpacket} {
		t.Run(name, func(t *testing.T) {
			call, mountpoint := syncCall(t, "auto_unmount")
			call.Socket = kind
			s := startSync(t, call, mountpoint)
			raw, err := s.Socket().SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			var shut error
			if err := raw.Control(func(fd uintptr) { shut = unix.Shutdown(int(fd), unix.SHUT_RD) }); err != nil || shut != nil {
				t.Fatal(err, shut)
			}
			s.serve(t, fuseserver.Options{})
			s.answer(t)
			s.wantFailed(t, "failed to send the status: Broken pipe")
		})
	}
}

// A failure after the device was sent is also sent as a number.
func TestSyncInitRefusedLater(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, s *twoPhase)
		status unix.Errno
		text   string
	}{
		"not writable any more": {
			func(t *testing.T, s *twoPhase) { chmod(t, s.mountpoint, 0o555) },
			unix.EPERM, "user has no write access to mountpoint ",
		},
		"mount_max reached": {
			func(t *testing.T, _ *twoPhase) { writeFile(t, "/etc/fuse.conf", "mount_max = 0\n") },
			unix.EPERM, "too many FUSE filesystems mounted",
		},
		"removed": {
			func(t *testing.T, s *twoPhase) {
				if err := os.Remove(s.mountpoint); err != nil {
					t.Fatal(err)
				}
			},
			unix.ENOENT, "mount failed: No such file or directory",
		},
		"device used elsewhere": {
			func(t *testing.T, s *twoPhase) { mountWith(t, s.dev, fusetest.Dir(t, alice)) },
			0, "mount failed: ", // see usedDevice
		},
		"something mounted there": {
			func(t *testing.T, s *twoPhase) {
				if err := unix.Mount("upper", s.mountpoint, "tmpfs", 0, ""); err != nil {
					t.Fatal(err)
				}
			},
			unix.EBUSY, "mount failed: Device or resource busy (something else was mounted there meanwhile",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Cleanup(func() { _ = os.Remove("/etc/fuse.conf") })
			call, mountpoint := syncCall(t, "")
			s := startSync(t, call, mountpoint)
			if c.status == 0 {
				c.status = usedDevice(t)
			}
			c.change(t, s)
			before := fusetest.Mountinfo(t)
			s.answer(t)
			s.wantStatus(t, c.status)
			r := s.Wait()
			if r.Exit != 1 || !strings.Contains(r.Stderr, c.text) {
				t.Errorf("exit %d, %q; want 1, %q", r.Exit, r.Stderr, c.text)
			}
			if after := fusetest.Mountinfo(t); len(after) != len(before) {
				t.Errorf("%d mounts before, %d after", len(before), len(after))
			}
		})
	}
}

// usedDevice returns the kernel's error for a new file system with a device that already
// has one. Before Linux 6.6 fsconfig cannot ask for a new one, and some kernels take the
// old one, if it is of the same user namespace.
func usedDevice(t *testing.T) unix.Errno {
	t.Helper()
	context, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(context)
	const createNew = 8 // FSCONFIG_CMD_CREATE_EXCL (linux/mount.h)
	_, _, errno := unix.Syscall6(unix.SYS_FSCONFIG, uintptr(context), createNew, 0, 0, 0, 0)
	if errno != unix.EOPNOTSUPP {
		return unix.EBUSY
	}
	dev, err := fusetest.OpenDevice()
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	mountWith(t, dev, fusetest.Dir(t, 0))
	if err := tryMountWith(t, dev, fusetest.Dir(t, 0)); err == nil {
		fusetest.Skip(t, "use Linux 6.6 or later: this kernel mounts what a device has once more")
	}
	return unix.EINVAL
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func mountWith(t *testing.T, dev *os.File, dir string) {
	t.Helper()
	if err := tryMountWith(t, dev, dir); err != nil {
		t.Fatal(err)
	}
}

// tryMountWith mounts with a device by mount(2).
func tryMountWith(t *testing.T, dev *os.File, dir string) (failed error) {
	t.Helper()
	raw, err := dev.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		failed = unix.Mount("x", dir, "fuse", 0, "rootmode=40000,user_id=0,group_id=0,fd="+strconv.Itoa(int(fd)))
	})
	return errors.Join(err, failed)
}

// Without the new mount API, or with a name too long for it, the call fails before the
// device is sent, and the caller can try again without --sync-init.
func TestSyncInitNotPossible(t *testing.T) {
	call, mountpoint := syncCall(t, "")
	call.Deny = helpertest.NoFsopen
	wantRefusal(t, run(t, call), mountpoint, "mount failed: Function not implemented")

	call, mountpoint = syncCall(t, "fsname="+strings.Repeat("x", 300))
	wantRefusal(t, run(t, call), mountpoint, "mount failed: File name too long")

	call, mountpoint = syncCall(t, "")
	call.HangUp = true
	wantRefusal(t, run(t, call), mountpoint, "failed to send the fuse descriptor: Broken pipe")

	for _, args := range [][]string{{"--sync-init", "-u"}, {"--sync-init", "--auto-unmount"}} {
		call.Args = append(args, mountpoint)
		wantRefusal(t, run(t, call), mountpoint, "--sync-init can only be used to mount")
	}
}

// With auto_unmount the process stays, after success only.
func TestSyncInitThenWatch(t *testing.T) {
	call, mountpoint := syncCall(t, "auto_unmount")
	s := startSync(t, call, mountpoint)
	s.serve(t, fuseserver.Options{})
	s.answer(t)
	s.wantStatus(t, 0)
	waitIgnoring(t, s.Pid())
	if links := helpertest.Descriptors(t, s.Pid()); len(links) != 4 {
		t.Errorf("descriptors %v, want the streams and the socket", links)
	}
	wantCleanedUp(t, s.Proc, s.server, mountpoint)
}
