//go:build linux

package fusermount_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

func init() {
	jobs["cycle"] = cycle
	jobs["namespace"] = inNamespace
	jobs["outside"] = outside
	jobs["unlisted"] = unlisted
}

// cycle goes through the life of a mount in a process of its own, and
// prints how it was mounted: DIRECTORY HELPER.
func cycle(args []string) (err error) {
	fusetest.MaybeShim()
	m, err := fusermount.Mount(ctxOfJob(), args[0], &fusermount.Options{FSName: "cycle,1", Subtype: "cycle", Helper: args[1]})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	line, found, err := fusetest.TopMount(args[0])
	if err != nil || !found || line.FSType != "fuse.cycle" || line.Source != "cycle,1" || !line.HasOption("nosuid") || !line.HasOption("nodev") ||
		!line.HasOption(fmt.Sprintf("user_id=%d", os.Getuid())) {
		return fmt.Errorf("mounted %v: %+v, %w", found, line, err)
	}
	if m.ID() == 0 || m.Mountpoint() != args[0] || fmt.Sprintf("0:%d", m.Info().Connection) != line.Device {
		return fmt.Errorf("id %d, connection %d, on %s: %+v", m.ID(), m.Info().Connection, m.Mountpoint(), line)
	}
	list, err := fusermount.List()
	if err != nil || len(list) != 1 || list[0].ID != m.ID() || list[0].Source != "cycle,1" || list[0].Type != "fuse.cycle" {
		return fmt.Errorf("listed %+v, %w", list, err)
	}
	done := m.Done()
	if err := m.Unmount(ctxOfJob(), nil); err != nil {
		return err
	}
	<-done
	if err := m.Unmount(ctxOfJob(), nil); !errors.Is(err, fusermount.ErrNotMounted) {
		return fmt.Errorf("unmounted twice: %w", err)
	}
	how := "helper"
	if m.Info().Direct {
		how = "direct"
	}
	_, err = fmt.Print(how)
	return err
}

// The package works where the kernel, a seccomp filter or a security module has
// taken something away: another way is found.
func TestWithoutCalls(t *testing.T) {
	helper := ours(t)
	fusetest.NeedRoot(t)
	const enosys, eperm, eacces = unix.ENOSYS, unix.EPERM, unix.EACCES
	for name, c := range map[string]struct {
		deny       []helpertest.Denied
		root, user string // how it mounts
	}{
		"all there":               {nil, "direct", "helper"},
		"no fsopen":               {helpertest.Deny(enosys, "fsopen"), "direct", "helper"},
		"fsopen forbidden":        {helpertest.Deny(eperm, "fsopen"), "direct", "helper"},
		"fsconfig forbidden":      {helpertest.Deny(eperm, "fsconfig"), "direct", "helper"},
		"fsmount forbidden":       {helpertest.Deny(eacces, "fsmount"), "direct", "helper"},
		"move_mount forbidden":    {helpertest.Deny(eacces, "move_mount"), "direct", "helper"},
		"no statmount":            {helpertest.Deny(enosys, "statmount", "listmount"), "direct", "helper"},
		"no statmount, no fsopen": {helpertest.Deny(enosys, "statmount", "listmount", "fsopen"), "direct", "helper"},
		"no handles":              {helpertest.Deny(eperm, "name_to_handle_at"), "direct", "helper"},
	} {
		t.Run(name, func(t *testing.T) {
			for uid, want := range map[uint32]string{0: c.root, user: c.user} {
				call := jobCall(t, uid, "cycle", fusetest.Dir(t, uid), helper)
				call.Deny = c.deny
				if got := doJob(t, call); got != want {
					t.Errorf("%d: %s, want %s", uid, got, want)
				}
			}
		})
	}
	t.Run("no mount at all", func(t *testing.T) {
		call := jobCall(t, 0, "cycle", fusetest.Dir(t, 0), "/absent")
		call.Deny = helpertest.Deny(eperm, "fsopen", "mount")
		r := call.Run(within(t))
		for _, text := range []string{"no fusermount3 found (looked for /absent)", "operation not permitted"} {
			if r.Exit != 1 || !strings.Contains(r.Stderr, text) {
				t.Errorf("exit %d, %s; want %q", r.Exit, r.Stderr, text)
			}
		}
	})
}

// An ordinary user's process, from its start to its end.
func TestUserProcess(t *testing.T) {
	withHelpers(t, func(t *testing.T, helper string) {
		fusetest.NeedRoot(t)
		if got := doJob(t, jobCall(t, user, "cycle", fusetest.Dir(t, user), helper)); got != "helper" {
			t.Errorf("mounted by %s", got)
		}
	})
}

// inNamespace mounts a directory of the namespace's own, and goes on as cycle.
func inNamespace(args []string) error {
	dir := filepath.Join(args[0], "inside")
	if err := errors.Join(unix.Mount("inside", args[0], "tmpfs", 0, ""), os.Mkdir(dir, 0o700)); err != nil {
		return err
	}
	return cycle([]string{dir, args[1]})
}

// outside mounts, leaves the mount behind by a new root directory, and wants an
// error that says so: DIRECTORY NEW-ROOT.
func outside(args []string) error {
	m, err := fusermount.Mount(ctxOfJob(), args[0], nil)
	if err == nil {
		err = errors.Join(unix.Chroot(args[1]), unix.Chdir("/"))
	}
	if err != nil {
		return err
	}
	err = m.Unmount(ctxOfJob(), nil)
	if !strings.Contains(fmt.Sprint(err), "root directory") || errors.Is(err, fusermount.ErrCovered) || errors.Is(err, fusermount.ErrNotMounted) {
		return fmt.Errorf("unmounted: %w", err)
	}
	return nil
}

// A mount outside of the root directory is not covered by anything.
func TestUnmountOutside(t *testing.T) {
	fusetest.NeedRoot(t)
	fusetest.NeedDevice(t)
	dir := fusetest.Dir(t, 0)
	doJob(t, jobCall(t, 0, "outside", dir, fusetest.Dir(t, 0)))
	mounted(t, dir)
}

// unlisted mounts where the mount table cannot be read: NEW-ROOT.
func unlisted(args []string) error {
	fusetest.MaybeShim()
	if err := errors.Join(unix.Chroot(args[0]), unix.Chdir("/")); err != nil {
		return err
	}
	m, err := fusermount.Mount(ctxOfJob(), "/mnt", &fusermount.Options{Method: fusermount.MethodDirect})
	if err == nil {
		return errors.Join(errors.New("mounted"), m.Close())
	}
	if !strings.Contains(err.Error(), "the mount table cannot be read") {
		return err
	}
	return nil
}

// What could not be found again is not mounted.
func TestWithoutTable(t *testing.T) {
	fusetest.NeedRoot(t)
	fusetest.NeedDevice(t)
	root := fusetest.Dir(t, 0)
	dev, mnt := filepath.Join(root, "dev"), filepath.Join(root, "mnt")
	err := errors.Join(os.Mkdir(dev, 0o755), os.Mkdir(mnt, 0o755), os.WriteFile(dev+"/fuse", nil, 0o600),
		unix.Mount(fusetest.DevicePath, dev+"/fuse", "", unix.MS_BIND, ""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, path := range []string{mnt, dev + "/fuse"} {
			_ = unix.Unmount(path, unix.MNT_DETACH) // the first one should not be there
		}
	})
	call := jobCall(t, 0, "unlisted", root)
	call.Deny = helpertest.NoStatmount
	doJob(t, call)
	wantNothing(t, mnt)
}

// Root of a user namespace mounts without a helper, whatever its number outside.
func TestUserNamespace(t *testing.T) {
	fusetest.NeedRoot(t)
	fusetest.NeedDevice(t)
	call := jobCall(t, user, "namespace", fusetest.Dir(t, user), "/absent")
	for name, inside := range map[string]int{"root": 0, "another number": 1000} {
		cmd := exec.CommandContext(within(t), call.Prog, call.Args...)
		cmd.Env, cmd.Dir = call.Env, "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Credential:  &syscall.Credential{Uid: uint32(inside), Gid: uint32(inside), NoSetGroups: true},
			Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: inside, HostID: user, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: inside, HostID: user, Size: 1}},
			AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN},
		}
		out, err := cmd.CombinedOutput()
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) {
			fusetest.Skip(t, "allow user namespaces (sysctl user.max_user_namespaces): "+err.Error())
		}
		if err != nil || string(out) != "direct" {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}

// A helper may be a wrapper that mounts in another namespace, where nothing is
// known of the mount but the device.
func TestElsewhere(t *testing.T) {
	fusetest.NeedRoot(t)
	dir := fusetest.Dir(t, 0)
	check := wantNoLeak(t)
	o := &fusermount.Options{Helper: fakeHelper(t, "elsewhere"), Method: fusermount.MethodHelper}
	m := mountAs(t, 0, dir, o)
	wantNothing(t, dir)
	if m.ID() != 0 || m.Mountpoint() != dir || m.File() == nil {
		t.Errorf("id %d, on %s", m.ID(), m.Mountpoint())
	}
	here := mountAs(t, 0, dir, nil)
	wantError(t, m.Unmount(within(t), nil), fusermount.ErrNotMounted)
	if err := here.Close(); err != nil {
		t.Error(err)
	}
	if err := m.Unmount(within(t), nil); err != nil {
		t.Error(err)
	}
	<-m.Done()
	wantError(t, m.Unmount(within(t), nil), fusermount.ErrNotMounted) // what lies there now is another's
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	check()
}

// The helper leads a group, so that ^C is not for it; as a watcher it gets a session
// of its own all the same.
func TestWatcherSession(t *testing.T) {
	helper := ours(t)
	mountAs(t, user, fusetest.Dir(t, user), &fusermount.Options{Helper: helper, Method: fusermount.MethodHelper, AutoUnmount: true})
	for deadline := time.Now().Add(patience); ; {
		pids := watchers(t, helper)
		if len(pids) == 1 && session(t, pids[0]) == pids[0] {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the watchers %v lead no session", pids)
		}
	}
}

func session(t *testing.T, pid string) string {
	t.Helper()
	text, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if id, found := strings.CutPrefix(line, "NSsid:"); found {
			return strings.TrimSpace(id)
		}
	}
	return ""
}
