//go:build linux

package fusermount_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// refusal is a mountpoint that a helper refuses.
type refusal struct {
	prepare func(t *testing.T, dir string) (mountpoint string)
	kinds   []error
	text    string
}

func refusals(helper string) map[string]refusal {
	return map[string]refusal{
		"absent": {
			func(_ *testing.T, dir string) string { return dir + "/absent" },
			[]error{fs.ErrNotExist, unix.ENOENT},
			"failed to access mountpoint ",
		},
		"parent absent": {
			func(_ *testing.T, dir string) string { return dir + "/absent/below" },
			[]error{fs.ErrNotExist},
			"bad mount point ",
		},
		"below a file": {
			func(t *testing.T, dir string) string { return file(t, dir) + "/x" },
			[]error{unix.ENOTDIR},
			"Not a directory",
		},
		"not writable": {
			func(t *testing.T, _ string) string { return fusetest.Dir(t, other) },
			[]error{fs.ErrPermission, unix.EACCES},
			"no write access",
		},
		"sticky": {
			func(t *testing.T, _ string) string { return sticky(t) },
			[]error{fs.ErrPermission, unix.EPERM},
			"not owned by user",
		},
		"fifo": {
			func(t *testing.T, dir string) string { return fifo(t, dir) },
			[]error{unix.ENOTDIR},
			"not a directory or a regular file",
		},
		"procfs": {
			func(*testing.T, string) string { return "/proc/self/task" },
			[]error{fs.ErrPermission},
			"",
		},
		"hidden": {
			func(t *testing.T, _ string) string { return hidden(t) },
			[]error{fs.ErrPermission, unix.EACCES},
			"Permission denied",
		},
		"dead": {
			func(t *testing.T, dir string) string {
				fusetest.Control(t) // without it a device that another process holds could be this one's
				return dead(t, helper, dir)
			},
			[]error{fusermount.ErrStale, unix.ENOTCONN},
			"failed to access mountpoint ",
		},
		"too many": {
			func(t *testing.T, dir string) string { fuseConf(t, "mount_max = 0\n"); return dir },
			[]error{fusermount.ErrTooManyMounts},
			"mount_max",
		},
	}
}

// Each refusal of a helper is an error of its kind, with the helper's words.
func TestRefusals(t *testing.T) {
	withHelpers(t, func(t *testing.T, helper string) {
		fusetest.NeedRoot(t)
		for name, c := range refusals(helper) {
			t.Run(name, func(t *testing.T) {
				mountpoint := c.prepare(t, fusetest.Dir(t, user))
				check := wantNoLeak(t)
				log, logged := logger()
				err := as(user, func() error {
					_, err := fusermount.Mount(within(t), mountpoint, &fusermount.Options{Helper: helper, Logger: log})
					return err
				})
				e := wantError(t, err, c.kinds...)
				if errors.Is(err, fusermount.ErrMountpoint) == (name == "too many") || errors.Is(err, exec.ErrNotFound) {
					t.Errorf("%v: ErrMountpoint is %v", err, errors.Is(err, fusermount.ErrMountpoint))
				}
				if e.Op != "mount" || e.Path != mountpoint || e.Helper != helper || e.ExitStatus != 1 || len(e.Messages) == 0 {
					t.Errorf("%+v", e)
				}
				if !strings.Contains(e.Error(), c.text) || !strings.Contains(logged.String(), helper) || strings.Contains(logged.String(), warned) {
					t.Errorf("%v, want %q; logged %q", e, c.text, logged)
				}
				check()
			})
		}
	})
}

// Our own helper's words about what only it tells apart.
func TestRefusalsOfOurs(t *testing.T) {
	helper := ours(t)
	fusetest.NeedRoot(t)
	dir := fusetest.Dir(t, user)
	mount := func(mountpoint string) error {
		return as(user, func() error {
			_, err := fusermount.Mount(within(t), mountpoint, &fusermount.Options{Helper: helper})
			return err
		})
	}
	e := wantError(t, mount("/proc/self/fd"), fs.ErrPermission)
	if !errors.Is(e, fusermount.ErrForbiddenMountpoint) && !strings.Contains(e.Error(), "no write access") {
		t.Error(e)
	}
	e = wantError(t, mount(dead(t, helper, dir)), fusermount.ErrStale, unix.ENOTCONN)
	if !strings.Contains(e.Error(), "(") { // the hint
		t.Error(e)
	}
}

// The device cannot be had.
func TestNoDevice(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		dir := fusetest.Dir(t, w.uid)
		empty := file(t, fusetest.Dir(t, 0))
		if err := unix.Mount(empty, fusetest.DevicePath, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := unix.Unmount(fusetest.DevicePath, 0); err != nil {
				t.Fatal(err)
			}
		}()
		if err := os.Chmod(empty, 0); err != nil || w.uid == 0 {
			return // root opens it all the same
		}
		err := as(w.uid, func() error {
			_, err := fusermount.Mount(within(t), dir, w.with(nil))
			return err
		})
		wantError(t, err, fusermount.ErrNoDevice, fs.ErrPermission)
	})
}

// What a direct mount refuses.
func TestDirectRefusals(t *testing.T) {
	dir := fusetest.Dir(t, 0)
	for mountpoint, kind := range map[string]error{
		dir + "/absent": fs.ErrNotExist,
		fifo(t, dir):    unix.ENOTDIR,
		"":              fs.ErrNotExist,
	} {
		_, err := fusermount.Mount(within(t), mountpoint, nil)
		if e := wantError(t, err, kind); e.Helper != "" || e.Path != mountpoint {
			t.Errorf("%+v", e)
		}
	}
}

// A NUL in the mountpoint is one error for all ways, before anything is done.
func TestNulInMountpoint(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		err := as(w.uid, func() error {
			_, err := fusermount.Mount(within(t), "/mnt\x00", w.with(nil))
			return err
		})
		if e := wantError(t, err, unix.EINVAL); e.Helper != "" || !strings.Contains(e.Error(), "NUL") {
			t.Errorf("%q", e)
		}
	})
}

// No mountpoint at all is the same error with a helper.
func TestEmptyMountpoint(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		err := as(w.uid, func() error {
			_, err := fusermount.Mount(within(t), "", w.with(nil))
			return err
		})
		wantError(t, err, fs.ErrNotExist, unix.ENOENT)
	})
}

// Without a right to mount, and without a helper.
func TestMethodDirectAsUser(t *testing.T) {
	fusetest.NeedRoot(t)
	dir := fusetest.Dir(t, user)
	err := as(user, func() error {
		_, err := fusermount.Mount(within(t), dir, &fusermount.Options{Method: fusermount.MethodDirect})
		return err
	})
	if e := wantError(t, err, fs.ErrPermission); e.Helper != "" || !strings.Contains(e.Error(), "CAP_SYS_ADMIN") {
		t.Error(e)
	}
	wantNothing(t, dir)
}

func file(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func fifo(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "fifo")
	if err := errors.Join(unix.Mkfifo(path, 0o666), os.Chmod(path, 0o666)); err != nil {
		t.Fatal(err)
	}
	return path
}

func sticky(t *testing.T) string {
	t.Helper()
	dir := fusetest.Dir(t, 0)
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	return dir
}

// hidden is behind a directory that others may not enter.
func hidden(t *testing.T) string {
	t.Helper()
	dir := fusetest.Dir(t, 0)
	if err := errors.Join(os.Mkdir(dir+"/below", 0o777), os.Chmod(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	return dir + "/below/"
}

// dead leaves a dead mount of the user's on dir.
func dead(t *testing.T, helper, dir string) string {
	t.Helper()
	m := mountAs(t, user, dir, &fusermount.Options{Helper: helper})
	device, err := m.TakeFile()
	if err == nil {
		err = device.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
