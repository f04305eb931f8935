package conformance

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
	"github.com/go-fusermount/fusermount/internal/wire"
)

// daemon runs the mount service with these flags until it ends by itself.
func daemon(t *testing.T, change func(*exec.Cmd), args ...string) (exit int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), fusetest.Patience) // of one that starts after all
	defer cancel()
	cmd := exec.CommandContext(ctx, fusetest.InstallHelper(t, helpertest.ServiceProgram(t), fusetest.Plain), args...)
	var out, errs bytes.Buffer
	cmd.WaitDelay = time.Second
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = []string{}, "/", &out, &errs
	if change != nil {
		change(cmd)
	}
	var ended *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// inherit has the service inherit a socket as from systemd.
func inherit(t *testing.T, kind, listening int, number string) func(*exec.Cmd) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	file := os.NewFile(uintptr(fd), "socket")
	t.Cleanup(func() { _ = file.Close() })
	must(t, unix.Bind(fd, &unix.SockaddrUnix{Name: filepath.Join(fusetest.Dir(t, 0), "socket")}))
	if listening != 0 {
		must(t, unix.Listen(fd, listening))
	}
	return func(cmd *exec.Cmd) {
		cmd.Args = append([]string{"/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
		cmd.Path, cmd.Env, cmd.ExtraFiles = "/bin/sh", []string{"LISTEN_FDS=" + number}, []*os.File{file}
	}
}

// What the service cannot start with is told in one line.
func TestServiceRefusesToStart(t *testing.T) {
	_, _, service := asServed(t)
	dir := fusetest.Dir(t, 0)
	config := func(text string) string {
		path := filepath.Join(dir, "conf"+strconv.Itoa(len(text)))
		must(t, os.WriteFile(path, []byte(text), 0o644))
		return path
	}
	file := config("a file")
	socket := filepath.Join(dir, "socket")
	for text, c := range map[string]struct {
		change func(*exec.Cmd)
		args   []string
	}{
		"unknown flag: --nosuch":                       {nil, []string{"--nosuch"}},
		`unexpected argument "x"`:                      {nil, []string{"x"}},
		"a limit is less than 1":                       {nil, []string{"--workers", "0"}},
		"a limit is less than 1 ":                      {nil, []string{"--max-watchers-per-user", "-1"}},
		"not the octal mode of a file":                 {nil, []string{"--socket", socket, "--mode", "rw"}},
		"--mode 1777: not the octal":                   {nil, []string{"--socket", socket, "--mode", "1777"}},
		"unknown group":                                {nil, []string{"--socket", socket, "--group", "no such group"}},
		"another process listens at " + service.Socket: {nil, []string{"--socket", service.Socket}},
		"not a socket":                                 {nil, []string{"--socket", file}},
		"not a directory":                              {nil, []string{"--socket", file + "/socket"}},
		"nosuch: no such file":                         {nil, []string{"--config", dir + "/nosuch"}},
		`line 2: no setting: "wrokers = 3"`:            {nil, []string{"--config", config("workers = 3\nwrokers = 3\n")}},
		`line 1: no setting: "just words"`:             {nil, []string{"--config", config("just words")}},
		`line 1: no setting: "config = /x"`:            {nil, []string{"--config", config("config = /x")}},
		"line 3: workers: ":                            {nil, []string{"--config", config("# workers\n\nworkers = many # words\n")}},
		"only root can mount for others":               {func(cmd *exec.Cmd) { cmd.SysProcAttr = asAlice() }, nil},
		"LISTEN_FDS=2: one socket is needed":           {inherit(t, unix.SOCK_SEQPACKET, 1, "2"), nil},
		"is no socket of type SOCK_SEQPACKET":          {inherit(t, unix.SOCK_STREAM, 1, "1"), nil},
		"the inherited socket does not listen":         {inherit(t, unix.SOCK_SEQPACKET, 0, "1"), nil},
		"must be an integer":                           {nil, []string{"--max-requests", "x"}},
		"unknown shorthand flag: 'z' in -z":            {nil, []string{"-z"}},
	} {
		exit, stdout, stderr := daemon(t, c.change, c.args...)
		if exit != 1 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "fusermountd: ") || !strings.Contains(stderr, strings.TrimSpace(text)) {
			t.Errorf("%q: exit %d, %q, %q", text, exit, stdout, stderr)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "a file" {
		t.Errorf("what lay at the socket's path is %q: %v", text, err)
	}
}

// Where ids make a process traceable, the service neither starts nor goes on.
func TestServiceTraceable(t *testing.T) {
	call, mountpoint, service := asServed(t)
	// From then on no worker can be started. One of these two may have a client already.
	const nobody = 65534
	eventually(t, "there are two workers", func() bool { return len(service.Workers(t, nobody)) > 1 })
	const setting, text = "/proc/sys/fs/suid_dumpable", "fs.suid_dumpable is 1, or cannot be read: users could trace the mount service"
	one := filepath.Join(fusetest.Dir(t, 0), "one")
	must(t, os.WriteFile(one, []byte("1\n"), 0o644), unix.Mount(one, setting, "", unix.MS_BIND, ""))
	uncover := sync.OnceFunc(func() { must(t, unix.Unmount(setting, unix.MNT_DETACH)) })
	t.Cleanup(uncover)
	if exit, _, stderr := daemon(t, nil, "--socket", filepath.Join(fusetest.Dir(t, 0), "socket")); exit != 1 || stderr != "fusermountd: "+text+"\n" {
		t.Errorf("exit %d, %q", exit, stderr)
	}
	r := run(t, call)
	if r.Exit != 1 || r.NFDs != 0 || !strings.Contains(r.Stderr, ": "+text+"\n") || !strings.Contains(r.Stderr, ": hint: ") {
		t.Errorf("exit %d, %d descriptors, %q", r.Exit, r.NFDs, r.Stderr)
	}
	uncover()
	wantMounted(t, run(t, call), mountpoint)
	unmount(t, call, mountpoint)
}

func asAlice() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: alice, Gid: alice}}
}

func TestServiceTexts(t *testing.T) {
	exit, stdout, stderr := daemon(t, nil, "-V")
	if exit != 0 || stderr != "" || !strings.HasPrefix(stdout, "fusermountd ") || strings.Count(stdout, "\n") != 1 {
		t.Errorf("-V: exit %d, %q, %q", exit, stdout, stderr)
	}
	exit, stdout, stderr = daemon(t, nil, "--help")
	if exit != 0 || stderr != "" || !strings.HasPrefix(stdout, "usage: fusermountd [FLAGS]\n") {
		t.Errorf("--help: exit %d, %q, %q", exit, stdout, stderr)
	}
	unwritable, err := os.Open("/")
	must(t, err)
	defer unwritable.Close()
	exit, _, stderr = daemon(t, func(cmd *exec.Cmd) { cmd.Stdout = unwritable }, "-V")
	if exit != 1 || stderr != "fusermountd: write /dev/stdout: bad file descriptor\n" {
		t.Errorf("-V to what cannot be written: exit %d, %q", exit, stderr)
	}
}

// The file of settings counts, and the command line before it. A socket that nobody listens at is
// replaced.
func TestServiceSettings(t *testing.T) {
	conf := filepath.Join(fusetest.Dir(t, 0), "conf")
	must(t, os.WriteFile(conf, []byte("# Who may ask.\n\n mode=0660 # its members\n\tmax-requests-per-user = 1\nmax-queue-per-user=7"), 0o644))
	service := helpertest.StartService(t, "--config", conf, "--max-queue-per-user", "1")
	var is unix.Stat_t
	must(t, unix.Stat(service.Socket, &is))
	if is.Mode != unix.S_IFSOCK|0o660 {
		t.Errorf("the socket has mode %o", is.Mode)
	}
	must(t, os.Chown(service.Socket, 0, alice))
	connect(t, service)
	eventually(t, "it has a worker", func() bool { return len(service.Workers(t, alice)) > 0 })
	connect(t, service).greet() // waits
	if r, err := wire.ParseReply(connect(t, service).greet().read()); err != nil || r.Errno != uint32(unix.EAGAIN) {
		t.Errorf("the third client of a user is answered %+v, %v", r, err)
	}
	must(t, fusetest.AsUser(bob, bob, func() error {
		c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: service.Socket, Net: "unixpacket"})
		if err == nil {
			return errors.Join(errors.New("bob may connect"), c.Close())
		}
		return nil
	}))
}
