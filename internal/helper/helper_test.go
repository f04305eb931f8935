package helper

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/cmdline"
	"github.com/go-fusermount/fusermount/internal/entry"
	"github.com/go-fusermount/fusermount/internal/fdpass"
	"github.com/go-fusermount/fusermount/internal/mount"
	"github.com/go-fusermount/fusermount/internal/policy"
	"github.com/go-fusermount/fusermount/internal/priv"
	"github.com/go-fusermount/fusermount/internal/seccomp"
)

func TestStaticText(t *testing.T) {
	for mode, want := range map[cmdline.Mode]string{
		cmdline.Version:      "fusermount3 version: 3.19.0 (go-fusermount 1_2_3)\n",
		cmdline.Features:     "0000000000000003\n",
		cmdline.FeaturesText: "FUSERMOUNT_FEATURE_NEW_MOUNT_API FUSERMOUNT_FEATURE_SYNC_INIT\n",
		cmdline.Help:         usage,
	} {
		if got, ok := staticText(mode, "1.2.3"); !ok || got != want {
			t.Errorf("mode %d: %q, want %q", mode, got, want)
		}
	}
}

// Every flag is in the usage text.
func TestUsage(t *testing.T) {
	for _, flag := range cmdline.Flags {
		if !strings.Contains(usage, " --"+flag.Long) || flag.Short != 0 && !strings.Contains(usage, " -"+string(rune(flag.Short))+",") {
			t.Errorf("--%s is missing", flag.Long)
		}
	}
}

func TestLine(t *testing.T) {
	for argv0, want := range map[string]string{
		"fusermount3": "fusermount3: a\\012b\n",
		"\x1b[31mx":   "\\033[31mx: a\\012b\n",
	} {
		if got := newReporter([]string{argv0}).line("a\nb"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := newReporter(nil).program; got != "fusermount3" {
		t.Errorf("without argv: %q", got)
	}
}

func TestStatusOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want unix.Errno
	}{
		{&mount.MountError{Errno: unix.EBUSY}, unix.EBUSY},
		{fmt.Errorf("%w; the mount was taken back", &mount.MountError{Errno: unix.EINVAL}), unix.EINVAL},
		{&policy.Refusal{Reason: "no"}, unix.EPERM},
		{waitError(fdpass.ErrTimeout, "silent"), unix.ETIMEDOUT},
		{waitError(io.EOF, "silent"), unix.EIO},
		{errors.New("something else"), unix.EIO},
	} {
		if got := statusOf(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
	if waitError(nil, "silent") != nil {
		t.Error("an error of nothing")
	}
}

func TestCapabilities(t *testing.T) {
	for tasks, want := range map[seccomp.Task]priv.Set{
		seccomp.Mount | seccomp.OldMount: priv.SysAdmin,
		seccomp.Unmount | seccomp.Watch:  priv.SysAdmin,
		seccomp.Unmount | seccomp.Tables: priv.SysAdmin | priv.SetUID | priv.SetGID,
		seccomp.Mount | seccomp.Tables:   priv.SysAdmin | priv.SetUID | priv.SetGID,
	} {
		if got := capabilities(tasks); got != want {
			t.Errorf("tasks %#x: %#x, want %#x", tasks, got, want)
		}
	}
}

func TestTasksOfMount(t *testing.T) {
	tables := seccomp.Tables // whether there is a table here is not the question
	for _, c := range []struct {
		req  cmdline.Request
		want seccomp.Task
	}{
		{cmdline.Request{}, seccomp.Mount | seccomp.OldMount},
		{cmdline.Request{SyncInit: true}, seccomp.Mount | seccomp.Answer},
		{cmdline.Request{Options: []string{"ro,auto_unmount"}}, seccomp.Mount | seccomp.OldMount | seccomp.Leave | seccomp.Watch},
		{cmdline.Request{Options: []string{"ro", "x-a=1"}}, seccomp.Mount | seccomp.OldMount},
	} {
		r := &run{req: c.req, report: newReporter(nil)}
		r.report.muted = true
		if got := tasksOfMount(r) &^ tables; got != c.want {
			t.Errorf("%+v: %#x, want %#x", c.req, got, c.want)
		}
	}
}

// A hint depends on what failed, and on how the process started.
func TestHint(t *testing.T) {
	admin := entry.Start{Permitted: uint64(priv.SysAdmin)}
	for _, c := range []struct {
		err    error
		origin entry.Start
		want   string // in the hint; empty: no hint
	}{
		{errNoSocket, admin, "to unmount, add -u"},
		{&policy.Refusal{Reason: "no", Advice: "do this"}, admin, "do this"},
		{&mount.AccessError{Errno: unix.ENOENT}, admin, "has to exist already"},
		{&mount.MountError{Errno: unix.EPERM}, admin, "the kernel refuses"},
		{&mount.UnmountError{Errno: unix.EPERM}, admin, "the kernel refuses"},
		{&mount.MountError{Errno: unix.EPERM}, entry.Start{EUID: 0}, "root has no CAP_SYS_ADMIN here"},
		{&mount.MountError{Errno: unix.EPERM}, entry.Start{EUID: 1000}, "without the setuid bit"},
		{&mount.UnmountError{Errno: unix.EINVAL}, admin, "exchanged meanwhile"},
		{&mount.MountError{Errno: unix.ENOMEM}, admin, ""},
		{&entry.Error{Step: "setresuid", Errno: unix.EINVAL}, admin, "no mapping in this user namespace"},
		{&entry.Error{Step: "capset", Errno: unix.EINVAL}, admin, ""},
		{errors.New("something else"), admin, ""},
	} {
		r := &run{who: priv.Identity{Origin: c.origin}, report: newReporter(nil)}
		if got := r.hint(c.err); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}

// No part of a line of the log is longer than the bound.
func TestAbout(t *testing.T) {
	long := strings.Repeat("x", 10*maxField)
	if got := about("fuse", "s"); got != " type fuse source s" {
		t.Errorf("%q", got)
	}
	if got := about(long, long); len(got) > 2*maxField+64 {
		t.Errorf("%d bytes", len(got))
	}
}

func TestSome(t *testing.T) {
	name := func(n int) string { return fmt.Sprint(n) }
	if got := some([]int{1, 2}, name); got != "1, 2" {
		t.Errorf("%q", got)
	}
	if got := some([]int{1, 2, 3, 4, 5, 6, 7}, name); got != "1, 2, 3, 4, 5, 2 more" {
		t.Errorf("%q", got)
	}
}

// What was inherited is never close-on-exec.
func TestIsOwn(t *testing.T) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fds[1]) })
	if _, err := unix.FcntlInt(uintptr(fds[1]), unix.F_SETFD, 0); err != nil {
		t.Fatal(err)
	}
	if !isOwn(fds[0]) || isOwn(fds[1]) || isPoller(fds[0]) || isPoller(fds[1]) {
		t.Errorf("own %v %v, poller %v %v", isOwn(fds[0]), isOwn(fds[1]), isPoller(fds[0]), isPoller(fds[1]))
	}
	if err := unix.Close(fds[0]); err != nil {
		t.Fatal(err)
	}
}
