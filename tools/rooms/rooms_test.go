package rooms

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// room is a machine as it may be elsewhere.
type room struct {
	name string
	// make changes the mount namespace. $D is an empty directory, and $D/etc, if it is used, a
	// copy of /etc that is mounted over it afterwards.
	make string
	// enter precedes the command, as a wrapper of it.
	enter string
	// refuses is what the demo says where it cannot run; empty where it works.
	refuses string
	// noScripts: the scripts cannot run there, since they need what is missing.
	noScripts bool
	skip      string // those that expect to see what is missing, as a regular expression
	// all runs "make test", too, which takes a minute.
	all bool
}

const (
	withoutFusectl = "while umount -q /sys/fs/fuse/connections; do :; done\n"
	withFusectl    = withoutFusectl + "mount -t fusectl fusectl /sys/fs/fuse/connections\n"
	etc            = "mkdir -p $D/etc; cp -a /etc/. $D/etc\n"
	mtabLink       = etc + "rm -f $D/etc/mtab; ln -s ../proc/self/mounts $D/etc/mtab\n"
	mtabFile       = etc + "rm -f $D/etc/mtab; : >$D/etc/mtab\n"
	mtabAbsent     = etc + "rm -f $D/etc/mtab\n"
	// The tests have users of these names with other numbers.
	otherUsers = etc + "sed -i '/^alice:/d; /^bob:/d' $D/etc/passwd $D/etc/group\n" +
		"printf 'alice:x:7001:7001::/:/bin/sh\\nbob:x:7002:7002::/:/bin/sh\\n' >>$D/etc/passwd\n" +
		"printf 'fuse:x:7003:alice\\nalice:x:7001:\\nbob:x:7002:\\n' >>$D/etc/group\n"
	// A device of its own leaves the machine's as it is.
	groupDevice = "mknod $D/fuse c 10 229; chgrp 7003 $D/fuse; chmod 0660 $D/fuse; mount --bind $D/fuse /dev/fuse\n"
	noLoops     = "mkdir $D/dev; cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty $D/dev\n" +
		"mknod -m 666 $D/dev/fuse c 10 229; mkdir $D/dev/shm $D/dev/pts; mount --bind /dev/pts $D/dev/pts\n" +
		"ln -s pts/ptmx $D/dev/ptmx; ln -s /proc/self/fd $D/dev/fd; mount --rbind $D/dev /dev\n"
	device = "mknod -m 666 $D/fuse c 10 229; mount --bind $D/fuse /dev/fuse\n"
	// chroot makes a root directory that is no mount, with the static programs alone.
	chroot = "mkdir -p $D/root/dev $D/root/proc $D/root/run $D/root/etc $D/root/sys $D/root/build $D/root/tmp $D/root/bin\n" +
		"mknod -m 666 $D/root/dev/fuse c 10 229; mknod -m 666 $D/root/dev/null c 1 3\n" +
		"cp build/demo build/fusermount3 build/fusectl $D/root/build\n"
	emptyRoot = "chroot $D/root" // without a shell
)

var rooms = []room{
	{name: "fusectl mounted", make: withFusectl},
	{name: "no fusectl", make: withoutFusectl},
	{name: "mtab a link", make: mtabLink},
	{name: "mtab a file", make: mtabFile},
	{name: "no mtab", make: mtabAbsent},
	{name: "alice and bob with other numbers", make: otherUsers},
	{name: "device 0660 root:fuse", make: otherUsers + groupDevice},
	{name: "no loop devices", make: noLoops},
	{name: "proc with hidepid=2", make: "mount -t proc -o hidepid=2 proc /proc\n"},
	{name: "proc with subset=pid", make: "mount -t proc -o subset=pid proc /proc\n", skip: "(people|blkdev)"},
	{name: "proc of another pid namespace", enter: "unshare -p --fork --kill-child", noScripts: true},
	{
		name: "a chroot with proc", make: chroot + "mount -t proc proc $D/root/proc\n", enter: emptyRoot,
		refuses: "a chroot whose root directory is not a mountpoint", noScripts: true,
	},
	{name: "a chroot without proc", make: chroot, enter: emptyRoot, refuses: "a chroot whose root directory is not a mountpoint", noScripts: true},
	{name: "an ordinary user", make: device, enter: "setpriv --reuid 54321 --regid 54321 --clear-groups", noScripts: true},
	{
		name: "an ordinary user without user namespaces", make: device + "mkdir $D/all; mount --rbind / $D/all\n",
		enter: "chroot --userspec=54321:54321 --groups= $D/all env -C $R", refuses: "user namespace", noScripts: true,
	},
	{name: "RLIMIT_NOFILE 24", enter: "prlimit --nofile=24", noScripts: true},
	{name: "RLIMIT_STACK 64k", enter: "prlimit --stack=65536", noScripts: true},
	{name: "RLIMIT_MEMLOCK 0", enter: "prlimit --memlock=0", noScripts: true},
	{name: "RLIMIT_SIGPENDING 0", enter: "prlimit --sigpending=0", noScripts: true},
	{name: "RLIMIT_CORE 0", enter: "prlimit --core=0", noScripts: true},
	{name: "RLIMIT_DATA 64M", enter: "prlimit --data=67108864", noScripts: true},
	{name: "no proc", make: "umount -l /proc\n", refuses: "/proc", noScripts: true},
	{name: "a machine with systemd", make: withFusectl + mtabLink + otherUsers + groupDevice, all: true},
	{name: "a bare machine", make: withoutFusectl + mtabFile + noLoops + "mount -t proc -o hidepid=2 proc /proc\n", all: true},
}

// outcomes are printed at the end.
var outcomes bytes.Buffer

func TestMain(m *testing.M) {
	code := m.Run()
	fmt.Print(outcomes.String())
	os.Exit(code)
}

const root = "../.."

func TestRooms(t *testing.T) {
	if os.Geteuid() != 0 {
		fusetest.Skip(t, "run it as root: 'sudo make test-rooms'")
	}
	if err := unshared("true").Run(); err != nil {
		fusetest.Skip(t, "run it with CAP_SYS_ADMIN: unshare -m: "+err.Error())
	}
	table := tabwriter.NewWriter(&outcomes, 0, 0, 2, ' ', 0)
	defer table.Flush()
	fmt.Fprintln(table, "ROOM\tDEMO\tSCRIPTS\tALL TESTS")
	for _, r := range rooms {
		t.Run(r.name, func(t *testing.T) {
			result := map[string]string{"demo": "-", "scripts": "-", "all": "-"}
			defer func() {
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", r.name, result["demo"], result["scripts"], result["all"])
			}()
			r.probe(t)
			result["demo"] = r.demo(t)
			if !r.noScripts {
				result["scripts"] = r.run(t, "cd tools/conformance && FUSERMOUNT_HELPER=$R/build/fusermount3 $R/build/conformance.test -test.run '^TestOurs$/^as-it-is$' -test.skip '^TestOurs$/^as-it-is$/^"+r.skip+"$'")
			}
			if only := os.Getenv("ROOMS_ALL"); r.all && (only == "" || only == r.name) {
				result["all"] = r.run(t, "make test")
			}
		})
	}
}

// probe makes the room and leaves it again.
func (r room) probe(t *testing.T) {
	t.Helper()
	if out, err := r.command(t, "true").CombinedOutput(); err != nil && r.enter == "" {
		fusetest.Skip(t, fmt.Sprintf("make this room possible: %v: %s", err, out))
	}
}

func (r room) demo(t *testing.T) (outcome string) {
	t.Helper()
	out, err := r.command(t, "build/demo -helper build/fusermount3 -fusectl build/fusectl").CombinedOutput()
	switch said := string(out); {
	case r.refuses == "" && err == nil && strings.Contains(said, "Unmount"):
		return "works"
	case r.refuses != "" && err != nil && strings.Contains(said, r.refuses) && !strings.Contains(said, "panic"):
		return "refuses"
	case r.refuses == "":
		t.Errorf("the demo: %v\n%s", err, out)
	default:
		t.Errorf("the demo: %v, want a refusal with %q\n%s", err, r.refuses, out)
	}
	return "FAILS"
}

func (r room) run(t *testing.T, command string) (outcome string) {
	t.Helper()
	if out, err := r.command(t, command).CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", command, err, out)
		return "FAILS"
	}
	return "pass"
}

// command runs a command of the shell in the room.
func (r room) command(t *testing.T, command string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil { // a user walks through it
		t.Fatal(err)
	}
	script := "set -eu\numask 022\nD=$1 R=$PWD\nmount -t tmpfs -o mode=755 room $D\n" + r.make +
		"[ ! -d $D/etc ] || mount --bind $D/etc /etc\nexport D R\n" +
		"exec " + cmp.Or(r.enter, "env") + " " + inside(r, command)
	cmd := unshared("sh", "-c", script, "sh", dir)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "FUSERMOUNT_TEST_NOSKIP=") // the room lacks what it lacks
	return cmd
}

// inside is a command as arguments of what enters the room.
func inside(r room, command string) string {
	if r.enter == emptyRoot {
		return "/" + command
	}
	return "sh -c '" + strings.ReplaceAll(command, "'", `'\''`) + "'"
}

func unshared(args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	cmd := exec.CommandContext(ctx, "unshare", slices.Concat([]string{"-m", "--propagation", "private"}, args)...)
	cmd.Cancel = func() error { cancel(); return cmd.Process.Kill() }
	return cmd
}

// The programs that the rooms need are built by "make test-rooms".
func TestBuilt(t *testing.T) {
	for _, name := range []string{"demo", "fusermount3", "fusectl", "conformance.test"} {
		if _, err := os.Stat(filepath.Join(root, "build", name)); errors.Is(err, fs.ErrNotExist) {
			t.Error("there is no build/" + name + ": run 'make test-rooms'")
		}
	}
}
