//go:build linux

package fusermount_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
)

// executable makes programs of no content.
func executable(t *testing.T, names ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFindHelper(t *testing.T) {
	three, two, both := executable(t, "fusermount3"), executable(t, "fusermount"), executable(t, "fusermount", "fusermount3", "mine")
	plain := t.TempDir()
	if err := os.WriteFile(plain+"/fusermount3", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path, variable, want string
	}{
		"fusermount3 in PATH":              {three, "", three + "/fusermount3"},
		"fusermount in PATH":               {two, "", two + "/fusermount"},
		"fusermount3 first":                {two + ":" + three, "", three + "/fusermount3"},
		"first directory first":            {both + ":" + three, "", both + "/fusermount3"},
		"not executable":                   {plain + ":" + three, "", three + "/fusermount3"},
		"not absolute":                     {".::" + filepath.Base(two) + ":" + three, "", three + "/fusermount3"},
		"FUSERMOUNT_PROG":                  {three, two + "/fusermount", two + "/fusermount"},
		"FUSERMOUNT_PROG, a name":          {both, "mine", both + "/mine"},
		"FUSERMOUNT_PROG is absent":        {three, "/absent/fusermount3", ""},
		"FUSERMOUNT_PROG is not to be run": {three, plain + "/fusermount3", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(both) // which is not searched
			t.Setenv("PATH", c.path)
			t.Setenv("FUSERMOUNT_PROG", c.variable)
			got, err := fusermount.FindHelper()
			var notFound *fusermount.HelperNotFoundError
			if got != c.want || (err != nil) != (c.want == "") || err != nil && !errors.As(err, &notFound) {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
		})
	}
}

// noHelper hides all helpers, and gives where they would have been.
func noHelper(t *testing.T) (searched []string) {
	t.Helper()
	names := []string{"fusermount3", "fusermount"}
	empty := t.TempDir()
	t.Setenv("PATH", empty)
	t.Setenv("FUSERMOUNT_PROG", "")
	for _, name := range names {
		searched = append(searched, filepath.Join(empty, name))
	}
	for _, dir := range []string{"/run/wrappers/bin", "/usr/local/bin", "/usr/bin", "/bin"} {
		for _, name := range names {
			searched = append(searched, filepath.Join(dir, name))
			hide(t, filepath.Join(dir, name))
		}
	}
	return searched
}

// Where there is no helper at all, the error says where one was looked for.
func TestNoHelper(t *testing.T) {
	fusetest.NeedRoot(t)
	dir := fusetest.Dir(t, user)
	searched := noHelper(t)
	mount := func(o *fusermount.Options) error {
		return as(user, func() error {
			_, err := fusermount.Mount(within(t), dir, o)
			return err
		})
	}
	for _, o := range []*fusermount.Options{nil, {AutoUnmount: true}, {Method: fusermount.MethodHelper}} {
		err := mount(o)
		wantError(t, err, fusermount.ErrHelperNotFound)
		var notFound *fusermount.HelperNotFoundError
		if !errors.As(err, &notFound) || !slices.Equal(notFound.Searched, searched) {
			t.Errorf("%v\nwant %q", err, searched)
		}
		if errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v is fs.ErrNotExist, as an absent mountpoint", err)
		}
	}
	err := mount(&fusermount.Options{Helper: "/absent"})
	if e := wantError(t, err, fusermount.ErrHelperNotFound); !strings.Contains(e.Error(), "/absent") {
		t.Error(e)
	}
	wantNothing(t, dir)

	m := mountAs(t, 0, dir, nil) // root needs none
	err = as(user, func() error { return m.Unmount(within(t), nil) })
	wantError(t, err, fusermount.ErrHelperNotFound)
	mounted(t, dir)
}

// A helper that is there and may not be executed is not merely absent.
func TestHelperNotExecutable(t *testing.T) {
	dir := fusetest.Dir(t, 0)
	helper := file(t, dir)
	_, err := fusermount.Mount(within(t), dir, &fusermount.Options{Method: fusermount.MethodHelper, Helper: helper})
	if e := wantError(t, err, fusermount.ErrHelperNotFound, fs.ErrPermission); !strings.Contains(e.Error(), helper+" may not be executed") {
		t.Error(e)
	}
	_, err = fusermount.Mount(within(t), dir, &fusermount.Options{Method: fusermount.MethodHelper, Helper: dir + "/absent"})
	if wantError(t, err, fusermount.ErrHelperNotFound); errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
}

// hide puts something that cannot be executed over a file, if there is one.
func hide(t *testing.T, path string) {
	t.Helper()
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = unix.Mount(file(t, fusetest.Dir(t, 0)), real, "", unix.MS_BIND, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(real, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// The helper of $FUSERMOUNT_PROG is run, with the environment of this process
// and one socket.
func TestHelperFromEnvironment(t *testing.T) {
	helper := ours(t)
	wrapper := filepath.Join(fusetest.Dir(t, 0), "wrapper")
	script := "#!/bin/sh\n[ \"$MINE\" = kept ] && [ -z \"$_FUSE_COMMFD2\" ] && [ \"$GOMAXPROCS\" = 1 ] && exec " + helper + " \"$@\"\necho \"$0: no\" >&2\nexit 1\n"
	if err := os.WriteFile(wrapper, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FUSERMOUNT_PROG", wrapper)
	t.Setenv("MINE", "kept")
	t.Setenv("_FUSE_COMMFD", "77")
	t.Setenv("_FUSE_COMMFD2", "78")
	t.Setenv("GOMAXPROCS", "7")
	dir := fusetest.Dir(t, 0)
	m := mountAs(t, 0, dir, &fusermount.Options{Method: fusermount.MethodHelper, FSName: "wrapped"})
	if line := mounted(t, dir); line.Source != "wrapped" || m.Info().Direct {
		t.Errorf("%+v", line)
	}
	if err := m.Unmount(within(t), nil); err != nil {
		t.Error(err)
	}
	wantNothing(t, dir)
}

func init() { jobs["named"] = mountByName }

// mountByName mounts with a helper that it names: DIRECTORY HELPER. It says
// where that was looked for.
func mountByName(args []string) error {
	_, err := fusermount.Mount(ctxOfJob(), args[0], &fusermount.Options{Method: fusermount.MethodHelper, Helper: args[1]})
	var notFound *fusermount.HelperNotFoundError
	if errors.As(err, &notFound) {
		fmt.Println(strings.Join(notFound.Searched, " "))
		return nil
	}
	var e *fusermount.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%w is no *Error", err)
	}
	fmt.Println("ran", e.Helper)
	return nil
}

// A program with more rights than its caller, by its ids or by a capability of
// its file, does not run what lies in its caller's PATH.
func TestNamedHelperOfPrivileged(t *testing.T) {
	fusetest.NeedRoot(t)
	const name = "callers-own-helper"
	path := fusetest.Dir(t, user)
	if err := os.WriteFile(path+"/"+name, []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	fixed := "/run/wrappers/bin/" + name + " /usr/local/bin/" + name + " /usr/bin/" + name + " /bin/" + name
	for mode, want := range map[fusetest.InstallMode]string{
		fusetest.Plain: "ran " + path + "/" + name, fusetest.Setuid: fixed, fusetest.Setcap: fixed,
	} {
		call := jobCall(t, user, "named", fusetest.Dir(t, user), name)
		call.Prog = fusetest.InstallHelper(t, "/proc/self/exe", mode)
		call.Env = []string{jobEnv + "=named", "PATH=" + path}
		if got := strings.TrimSpace(doJob(t, call)); got != want {
			t.Errorf("%s: %s; want %s", mode, got, want)
		}
	}
}

// A helper has done its work when its device has come and is mounted. However it goes
// on, the mount is there and stays; Unmount returns when the helper is gone.
func TestDeviceCounts(t *testing.T) {
	const before, after = "warning: before", "warning: after"
	for fake, want := range map[string]string{
		"send-die": "", "send-fail": "", "send-hang": "", "send-child": "", "send-flood": "", "twice": "",
		"send-speak": before,
		"sync-fail":  "", "sync-hang": "",
	} {
		t.Run(fake, func(t *testing.T) {
			helper, dir := fakeHelper(t, fake), fusetest.Dir(t, 0)
			unmounter := ours(t)
			check := wantNoLeak(t)
			log, logged := logger()
			o := &fusermount.Options{Helper: helper, Method: fusermount.MethodHelper, Logger: log}
			if strings.HasPrefix(fake, "sync-") {
				o.SyncInit = func(device *os.File) (func(), error) {
					_, err := handOn(device, fuseserver.Options{})
					return nil, err
				}
			}
			ctx, cancel := context.WithCancel(within(t))
			m, err := fusermount.Mount(ctx, dir, o)
			if err != nil {
				t.Fatal(err)
			}
			cancel() // which means nothing any more
			got := strings.Join(m.Info().Warnings, "\n")
			if want != "" { // the helper may have been quick enough to write more
				got = strings.TrimSuffix(got, "\n"+after)
			}
			if fake != "send-flood" && got != want {
				t.Errorf("warnings %q, want %q", got, want)
			}
			warnings := strings.Count(logged.String(), warned)
			if n := len(m.Info().Warnings); warnings != n {
				t.Errorf("logged %d warnings of %d: %s", warnings, n, logged)
			}
			mounted(t, dir)
			if err := m.Unmount(within(t), &fusermount.UnmountOptions{Helper: unmounter}); err != nil {
				t.Error(err)
			}
			if running(t, helper) {
				t.Error("the helper still runs")
			}
			if more := strings.Count(logged.String(), warned) - warnings; more > 0 {
				t.Errorf("%d warnings came after Mount", more)
			}
			wantNothing(t, dir)
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			check()
		})
	}
}

// Close alone sees a helper gone, too.
func TestCloseAfterHelperHangs(t *testing.T) {
	helper, dir := fakeHelper(t, "send-hang"), fusetest.Dir(t, 0)
	check := wantNoLeak(t)
	m, err := fusermount.Mount(within(t), dir, &fusermount.Options{Helper: helper, Method: fusermount.MethodHelper})
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, m.Close()) // by a helper that unmounts nothing
	if running(t, helper) {
		t.Error("the helper still runs")
	}
	if err := fusermount.Unmount(within(t), dir, nil); err != nil {
		t.Error(err)
	}
	check()
}

// running says whether one of our children was started as a helper.
func running(t *testing.T, helper string) bool {
	t.Helper()
	for _, pid := range living(t) {
		line, err := os.ReadFile("/proc/" + pid + "/cmdline")
		if name, _, _ := strings.Cut(string(line), "\x00"); err == nil && name == helper {
			return true
		}
	}
	return false
}

// While a mount lives, its helper is no zombie.
func TestHelperReaped(t *testing.T) {
	withHelpers(t, func(t *testing.T, helper string) {
		fusetest.NeedRoot(t)
		dir := fusetest.Dir(t, user)
		check := wantNoLeak(t)
		before := len(children(t))
		m := mountAs(t, user, dir, &fusermount.Options{Helper: helper})
		eventually(t, "the helper is reaped", func() bool { return len(children(t)) <= before })
		mounted(t, dir)
		if err := as(user, m.Close); err != nil {
			t.Error(err)
		}
		check()
	})
}

func init() {
	jobs["ignored"] = func(args []string) error {
		signal.Ignore(unix.SIGCHLD)
		return withoutStatus(args)
	}
	jobs["reaped"] = func(args []string) error {
		go func() { // as process 1 of a container would
			for {
				if _, err := unix.Wait4(-1, nil, 0, nil); errors.Is(err, unix.ECHILD) {
					continue
				}
			}
		}()
		return withoutStatus(args)
	}
}

// withoutStatus goes through what a helper may do: DIRECTORY HELPER "ours"|"C".
func withoutStatus(args []string) error {
	o := &fusermount.Options{Helper: args[1]}
	_, unknown := fusermount.Mount(ctxOfJob(), args[0], &fusermount.Options{Helper: args[1], Extra: extra("nonsense")})
	_, forbidden := fusermount.Mount(ctxOfJob(), "/usr", o)
	if args[2] == "C" { // does not know the flag for it, and is asked again
		o.SyncInit = func(*os.File) (func(), error) { return nil, nil }
	}
	m, err := fusermount.Mount(ctxOfJob(), args[0], o)
	if err != nil {
		return err
	}
	fd, err := unix.Open(args[0], unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	busy := m.Unmount(ctxOfJob(), nil)
	for _, c := range []struct{ err, want error }{
		{unknown, fusermount.ErrUnknownOption},
		{forbidden, fs.ErrPermission},
		{busy, unix.EBUSY},
	} {
		if !errors.Is(c.err, c.want) || errors.Is(c.err, fusermount.ErrBadReply) || errors.Is(c.err, fusermount.ErrCovered) {
			return fmt.Errorf("%w is not %w, or not only", c.err, c.want)
		}
	}
	return errors.Join(unix.Close(fd), m.Unmount(ctxOfJob(), nil), m.Close())
}

// Where something else in the process takes the helpers' exit status, their words
// and the mount table are believed.
func TestReapedElsewhere(t *testing.T) {
	withHelpers(t, func(t *testing.T, helper string) {
		fusetest.NeedRoot(t)
		for _, job := range []string{"ignored", "reaped"} {
			dir := fusetest.Dir(t, user)
			doJob(t, jobCall(t, user, job, dir, helper, filepath.Base(t.Name())))
			wantNothing(t, dir)
		}
	})
}

// A helper that is a script whose interpreter is missing is no missing mountpoint, and one
// in a directory that may not be searched is not one that may not be executed.
func TestHelperNotRunnable(t *testing.T) {
	fusetest.NeedRoot(t)
	dir := fusetest.Dir(t, user)
	script := filepath.Join(fusetest.Dir(t, user), "helper")
	if err := errors.Join(os.WriteFile(script, []byte("#!/absent\n"), 0o755), os.Chmod(script, 0o755)); err != nil {
		t.Fatal(err)
	}
	mount := func(helper string) error {
		return as(user, func() error {
			_, err := fusermount.Mount(within(t), dir, &fusermount.Options{Helper: helper})
			return err
		})
	}
	if e := wantError(t, mount(script), exec.ErrNotFound); errors.Is(e, fs.ErrNotExist) {
		t.Error(e)
	}
	closed := fusetest.Dir(t, 0)
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	e := wantError(t, mount(closed+"/fusermount3"), fusermount.ErrHelperNotFound)
	if errors.Is(e, fs.ErrPermission) || strings.Contains(e.Error(), "may not be executed") {
		t.Error(e)
	}
}
