package conformance

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// includesEnv names what profiles include, in a guest with AppArmor.
const includesEnv = "FUSERMOUNT_GUEST_APPARMOR"

const (
	profileFile = "../../packaging/apparmor/fusermount3"
	attachment  = "/usr/bin/fusermount{,3}"
	// onStage is where the tests install the helper.
	onStage = "/{usr/bin,run/fusetest/bin/*}/fusermount{,3}"
)

// foreignProfile is like a distribution's profile for another helper: it has no rule for
// move_mount, and only the capability to mount.
const foreignProfile = `abi <abi/3.0>,
include <tunables/global>
profile fusermount3 ` + attachment + ` {
  capability sys_admin,
  mount fstype=(fuse,fuse.*) options=(nosuid,nodev) options in (ro,rw,noatime,noexec) -> /run/**,
  umount /run/**,
  network unix,
  ` + attachment + ` mr,
  /dev/fuse rw,
  /etc/fuse.conf r,
  @{PROC}/@{pid}/mountinfo r,
}
`

// confineBy loads a profile, which also attaches to the helper on the stage.
func confineBy(t *testing.T, profile string) {
	t.Helper()
	needGuest(t)
	if _, err := os.Stat("/sys/kernel/security/apparmor/profiles"); err != nil {
		fusetest.Skip(t, "run a kernel with AppArmor: "+err.Error())
	}
	wide := strings.ReplaceAll(profile, attachment, onStage)
	if wide == profile {
		t.Fatal("the profile does not attach to " + attachment)
	}
	file := filepath.Join(fusetest.Dir(t, 0), "profile")
	writeFile(t, file, wide)
	parse := func(action string) {
		out, err := exec.Command("apparmor_parser", action, "--skip-cache", "--base", os.Getenv(includesEnv), file).CombinedOutput()
		if err != nil {
			t.Fatalf("apparmor_parser %s: %v: %s", action, err, out)
		}
	}
	parse("--replace")
	t.Cleanup(func() { parse("--remove") })
}

// kernelLog opens the kernel's log at its end. AppArmor logs its refusals there.
func kernelLog(t *testing.T) (fd int) {
	t.Helper()
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if _, err := unix.Seek(fd, 0, unix.SEEK_END); err != nil {
		t.Fatal(err)
	}
	return fd
}

// varying is what differs between two refusals of one kind.
var varying = regexp.MustCompile(` (?:pid|fsuid|ouid)=[0-9]+|fusetest/dir/t[0-9]+`)

// denials reads the refusals since kernelLog, each kind once.
func denials(t *testing.T, log int) (lines []string) {
	t.Helper()
	buf := make([]byte, 8192)
	for {
		n, err := unix.Read(log, buf)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			slices.Sort(lines)
			return slices.Compact(lines)
		case err != nil:
			t.Fatal(err) // EPIPE: messages were lost
		}
		if _, line, found := strings.Cut(string(buf[:max(n, 0)]), `apparmor="DENIED" `); found {
			lines = append(lines, varying.ReplaceAllString(line, ""))
		}
	}
}

// wantConfined wants the running helper to be under the profile.
func wantConfined(t *testing.T, pid int) {
	t.Helper()
	if label := helpertest.ReadFile(t, "/proc/"+strconv.Itoa(pid)+"/attr/current"); label != "fusermount3 (enforce)\n" {
		t.Errorf("the helper runs under %q", label)
	}
}

// Under our profile the helper works without a refusal.
func TestAppArmorOwnProfile(t *testing.T) {
	confineBy(t, helpertest.ReadFile(t, profileFile))
	log := kernelLog(t)
	t.Run("confined", func(t *testing.T) {
		w := watch(t)
		waitIgnoring(t, w.Pid())
		wantConfined(t, w.Pid())
		w.die(t)
		w.wantExit(t, 0)
	})
	t.Run("scripts", func(t *testing.T) {
		addUsers(t)
		runScripts(t, machine{program: helperProgram(t)})
	})
	for name, test := range map[string]func(*testing.T){
		"tables": TestSendFailsTables, "log": TestLog, "watch tables": TestWatchTables, "root's watcher": TestWatchRoot,
		"sync-init": TestSyncInitWithoutWaiting, "sync-init given up": TestSyncInitClosed, "file capability": TestFileCapability,
		"busy": TestBusyNamesHolders,
	} {
		t.Run(name, test)
	}
	for _, line := range denials(t, log) {
		t.Errorf("refused: %s", line)
	}
}

// Under a profile for another helper, the helper mounts by the call that the profile
// allows.
func TestAppArmorForeignProfile(t *testing.T) {
	confineBy(t, foreignProfile)
	call, mountpoint := asUser(t)
	judged, way := kill("move_mount"), "new API"
	if _, err := os.Stat("/sys/kernel/security/apparmor/features/mount/move_mount"); err == nil {
		judged, way = kill("mount"), "mount(2)"
	}
	for _, options := range []string{"rw", "ro", "fsname=a,subtype=b"} {
		call.Args = []string{"-o", options, mountpoint}
		wantMounted(t, run(t, call), mountpoint)
		unmount(t, call, mountpoint)
	}
	call.Deny = judged
	wantKilled(t, run(t, call), mountpoint)
	fact(t, "apparmor-foreign", way)
}
