package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// Clients of the mount service in namespaces of their own.

// namespaceEnv makes the test program a client in namespaces that were made for it. The value is a guest
// as JSON.
const namespaceEnv = "CONFORMANCE_NAMESPACE"

// guest is what a client does: it mounts Dir with Args by Helper, serves and reads it, and unmounts.
type guest struct {
	Helper, Self, Dir string
	Args              []string
	UID               int    // whose ids it takes, after it has made its mounts; 0: those it has
	Private           bool   // a tmpfs at Dir, which nobody outside has, and Dir in it
	HideProc          bool   // /proc is empty
	Nested            bool   // in one more user namespace
	Landlock          bool   // it may not make files
	Conf              string // the text of its own /etc/fuse.conf; empty: it has the machine's
}

// seen is what it saw.
type seen struct {
	Exit, Unmount int
	Stderr        string
	Hello         string // the text of a file in the mount
	Caps          string // CapEff of the client
	UserID        string // of the mount, in the table
	Owner         uint32 // of that file
	Left          []string
}

func init() {
	fusetest.Role(namespaceEnv, func(value string) {
		var g guest
		s, err := seen{}, json.Unmarshal([]byte(value), &g)
		if err == nil {
			s, err = g.run()
		}
		if err == nil {
			err = json.NewEncoder(os.Stdout).Encode(s)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	})
}

func (g guest) run() (s seen, err error) {
	if err := g.prepare(); err != nil {
		return s, err
	}
	if g.Nested {
		g.Nested, g.Private, g.HideProc, g.UID = false, false, false, 0
		return g.nested()
	}
	if text, err := os.ReadFile("/proc/self/status"); err == nil {
		_, s.Caps, _ = strings.Cut(string(text), "CapEff:\t")
		s.Caps, _, _ = strings.Cut(s.Caps, "\n")
	}
	socket := "FUSERMOUNT_SOCKET=" + os.Getenv("FUSERMOUNT_SOCKET")
	call := helpertest.Call{Prog: g.Helper, Args: append(g.Args, g.Dir), KeepRoot: true, Dir: "/", Env: []string{socket}}
	r := helpertest.RunWithin(context.Background(), call)
	s.Exit, s.Stderr = r.Exit, r.Stderr
	if r.Err != nil || r.Dev == nil {
		return s, r.Err
	}
	wait, err := fuseserver.ServeHere(r.Dev, fuseserver.Tree{Files: map[string][]byte{"hello": []byte("hello")}})
	if err != nil {
		return s, err
	}
	file := filepath.Join(g.Dir, "hello")
	// Not by package os, whose poller would ask the daemon, which is in this process.
	if s.Hello, err = rawfile.Text(file); err != nil {
		return s, err
	}
	st, err := os.Stat(file)
	if err != nil {
		return s, err
	}
	s.Owner = st.Sys().(*syscall.Stat_t).Uid
	if line, found, err := fusetest.TopMount(g.Dir); err == nil && found { // without /proc, nothing is known
		_, s.UserID, _ = strings.Cut(line.SuperOptions, "user_id=")
		s.UserID, _, _ = strings.Cut(s.UserID, ",")
	}
	call.Args, call.Socket = []string{"-u", g.Dir}, helpertest.NoSocket
	r = helpertest.RunWithin(context.Background(), call)
	s.Unmount, s.Stderr = r.Exit, s.Stderr+r.Stderr
	if r.Err != nil || r.Exit != 0 {
		return s, r.Err
	}
	names, err := os.ReadDir(g.Dir)
	for _, name := range names {
		s.Left = append(s.Left, name.Name())
	}
	return s, errors.Join(err, wait())
}

// prepare makes the client's mounts, and gives its rights up.
func (g *guest) prepare() error {
	if g.Private {
		err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		if err == nil {
			err = unix.Mount("private", g.Dir, "tmpfs", 0, "mode=0777")
		}
		g.Dir = filepath.Join(g.Dir, "m")
		if err == nil {
			err = os.Mkdir(g.Dir, 0o777)
		}
		if err = errors.Join(err, os.Chmod(g.Dir, 0o777)); err != nil {
			return err
		}
	}
	if g.Conf != "" {
		if err := unix.Mount("etc", "/etc", "tmpfs", 0, ""); err != nil {
			return err
		}
		if err := os.WriteFile("/etc/fuse.conf", []byte(g.Conf), 0o644); err != nil {
			return err
		}
	}
	if g.HideProc {
		if err := unix.Mount("empty", "/proc", "tmpfs", 0, ""); err != nil {
			return err
		}
	}
	if g.UID != 0 {
		err := syscall.Setgroups(nil)
		if err == nil {
			err = syscall.Setresgid(g.UID, g.UID, g.UID)
		}
		if err == nil {
			err = syscall.Setresuid(g.UID, g.UID, g.UID)
		}
		if err != nil {
			return err
		}
	}
	if g.Landlock {
		return forbidFiles()
	}
	return nil
}

// nested goes on in one more user namespace, in which this user has another number.
func (g guest) nested() (s seen, err error) {
	value, err := json.Marshal(g)
	if err != nil {
		return s, err
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil { // the change of ids has taken it, and uid_map then is root's
		return s, err
	}
	uid := os.Getuid()
	cmd := exec.Command(g.Self)
	cmd.Env = append(os.Environ(), namespaceEnv+"="+string(value))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 7, HostID: uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 7, HostID: uid, Size: 1}},
		Credential:  &syscall.Credential{Uid: 7, Gid: 7, NoSetGroups: true},
	}
	out, err := cmd.Output()
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(out, &s)
}

// forbidFiles has Landlock refuse to make files (landlock(7)).
func forbidFiles() error {
	attr := unix.LandlockRulesetAttr{Access_fs: unix.LANDLOCK_ACCESS_FS_MAKE_REG}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr.Access_fs), 0)
	if errno != 0 {
		return os.NewSyscallError("landlock_create_ruleset", errno)
	}
	if _, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
		return os.NewSyscallError("prctl", errno)
	}
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return os.NewSyscallError("landlock_restrict_self", errno)
	}
	return unix.Close(int(fd))
}

// base is where the ids of the containers of these tests begin.
const base = 300_000

// start starts a guest as root of namespaces. In a user namespace the id n is base+n outside.
func (g guest) start(t *testing.T, service *helpertest.Service, flags uintptr) (s seen) {
	t.Helper()
	g.Helper = fusetest.InstallHelper(t, helperProgram(t), fusetest.Plain)
	g.Self = fusetest.InstallHelper(t, "/proc/self/exe", fusetest.Plain)
	value, err := json.Marshal(g)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), fusetest.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, g.Self)
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGQUIT) } // it says where it waits
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = []string{namespaceEnv + "=" + string(value), "FUSERMOUNT_SOCKET=" + service.Socket}
	cmd.Dir, cmd.Stderr = "/", os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	if flags&unix.CLONE_NEWUSER != 0 {
		ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: base, Size: 65536}}
		cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings = ids, ids
		cmd.SysProcAttr.GidMappingsEnableSetgroups = true
		cmd.SysProcAttr.Credential = &syscall.Credential{}
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, service.Log())
	}
	must(t, json.Unmarshal(out, &s))
	return s
}

// In every kind of namespace a client without any capability mounts, reads and unmounts, and the ids
// are right inside.
func TestServiceNamespaces(t *testing.T) {
	fusetest.NeedRoot(t)
	service := helpertest.StartService(t)
	for name, c := range map[string]struct {
		g      guest
		flags  uintptr
		userID string
	}{
		"the same":                 {guest{UID: alice}, 0, "4242"},
		"mount namespace":          {guest{UID: alice, Private: true}, unix.CLONE_NEWNS, "4242"},
		"pid namespace, no proc":   {guest{UID: alice, Private: true, HideProc: true}, unix.CLONE_NEWNS | unix.CLONE_NEWPID, ""},
		"user namespace":           {guest{UID: 1000, Private: true}, unix.CLONE_NEWNS | unix.CLONE_NEWUSER, "1000"},
		"user and pid, no proc":    {guest{UID: 1000, Private: true, HideProc: true}, unix.CLONE_NEWNS | unix.CLONE_NEWUSER | unix.CLONE_NEWPID, ""},
		"another user namespace":   {guest{UID: 1000, Private: true, Nested: true}, unix.CLONE_NEWNS | unix.CLONE_NEWUSER, "1000"},
		"user namespace, no mount": {guest{UID: alice, Private: true, Nested: true}, unix.CLONE_NEWNS, "4242"},
	} {
		t.Run(name, func(t *testing.T) {
			c.g.Dir = fusetest.Dir(t, alice)
			if c.flags&unix.CLONE_NEWUSER != 0 {
				c.g.Dir = fusetest.Dir(t, base)
			}
			got := c.g.start(t, service, c.flags)
			want := seen{Hello: "hello", UserID: c.userID, Caps: "0000000000000000"}
			if c.g.HideProc {
				want.Caps = ""
			}
			if c.g.Nested {
				want.Owner = 65534 // root has no number there
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%+v, want %+v\n%s", got, want, service.Log())
			}
			wantNothing(t, c.g.Dir)
		})
	}
}

// The files of a container do not count.
func TestServiceOwnConf(t *testing.T) {
	service := helpertest.StartService(t)
	for flags, owner := range map[uintptr]uint32{unix.CLONE_NEWNS: 0, unix.CLONE_NEWNS | unix.CLONE_NEWUSER: base} {
		g := guest{UID: 1000, Private: true, Conf: "user_allow_other\n", Args: []string{"-o", "allow_other"}, Dir: fusetest.Dir(t, owner)}
		got := g.start(t, service, flags)
		if got.Exit != 1 || !strings.Contains(got.Stderr, "only allowed if 'user_allow_other' is set") {
			t.Errorf("%x: %+v", flags, got)
		}
	}
}

// A sandbox that lets a client write nothing lets it mount nothing.
func TestServiceLandlock(t *testing.T) {
	fusetest.NeedRoot(t)
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION); errno != 0 {
		fusetest.Skip(t, "run a kernel with Landlock: "+errno.Error())
	}
	dir := fusetest.Dir(t, alice)
	got := guest{UID: alice, Dir: dir, Landlock: true}.start(t, helpertest.StartService(t), 0)
	if got.Exit != 1 || !strings.Contains(got.Stderr, "user has no write access to mountpoint "+dir) {
		t.Errorf("%+v", got)
	}
	wantNothing(t, dir)
}
