package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/ask"
	"github.com/go-fusermount/fusermount/internal/fuseconf"
	"github.com/go-fusermount/fusermount/internal/service"
)

type settings struct {
	socket, mode, group string
	limits              service.Limits
}

func run(args []string) int {
	log.SetFlags(0)
	log.SetPrefix("fusermountd: ")
	s := settings{limits: service.DefaultLimits}
	flags := pflag.NewFlagSet("fusermountd", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.StringVar(&s.socket, "socket", ask.Socket, "where to listen, unless the socket is inherited (LISTEN_FDS)")
	flags.StringVar(&s.mode, "mode", "0666", "the socket's mode: who may write to it may ask")
	flags.StringVar(&s.group, "group", "", "the socket's group")
	flags.IntVar(&s.limits.Idle, "workers", s.limits.Idle, "processes that wait for a client")
	flags.IntVar(&s.limits.Requests, "max-requests", s.limits.Requests, "requests at a time; others wait")
	flags.IntVar(&s.limits.PerUser, "max-requests-per-user", s.limits.PerUser, "requests of one user at a time; others wait")
	flags.IntVar(&s.limits.Queue, "max-queue-per-user", s.limits.Queue, "clients of one user that wait; others are refused")
	flags.IntVar(&s.limits.Watchers, "max-watchers-per-user", s.limits.Watchers, "mounts of one user with auto_unmount")
	config := flags.String("config", configPath, "a file of settings: the long flags above, NAME = VALUE, one a line")
	version := flags.BoolP("version", "V", false, "print the version")
	flags.Usage = func() { fmt.Fprint(os.Stdout, usage+flags.FlagUsages()) } // nobody can be told that it failed
	err := flags.Parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return 0
	case err == nil && *version:
		return print(versionText())
	case err == nil && flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if err == nil {
		err = readConfig(flags, *config)
	}
	if err == nil {
		err = serve(s)
	}
	if err != nil {
		log.Print(err)
		return 1
	}
	return 0
}

const usage = `usage: fusermountd [FLAGS]

Mounts and unmounts FUSE file systems for programs that have no rights to do it:
in containers, sandboxes, and services with no_new_privs. They may mount where
they may write. It runs as root until SIGTERM.

`

// configPath is absent as a rule: the defaults do.
var configPath = filepath.Dir(fuseconf.Path) + "/fusermountd.conf"

// readConfig sets the flags that the command line has not set.
func readConfig(flags *pflag.FlagSet, path string) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !flags.Changed("config") {
		return nil
	}
	if err != nil {
		return err
	}
	given := map[string]bool{}
	flags.Visit(func(f *pflag.Flag) { given[f.Name] = true })
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line, _, _ = strings.Cut(line, "#")
		name, value, found := strings.Cut(line, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		switch {
		case strings.TrimSpace(line) == "":
			continue
		case !found || name == "config" || name == "version" || flags.Lookup(name) == nil:
			return fmt.Errorf("%s: line %d: no setting: %q", path, number, strings.TrimSpace(line))
		case given[name]:
			continue
		}
		if err := flags.Lookup(name).Value.Set(value); err != nil {
			return fmt.Errorf("%s: line %d: %s: %w", path, number, name, err)
		}
	}
	return nil
}

func versionText() string { return "fusermountd " + version + "\n" }

func print(text string) int {
	if _, err := os.Stdout.WriteString(text); err != nil {
		log.Print(err)
		return 1
	}
	return 0
}

func serve(s settings) error {
	for _, n := range []int{s.limits.Idle, s.limits.Requests, s.limits.PerUser, s.limits.Queue, s.limits.Watchers} {
		if n < 1 {
			return errors.New("a limit is less than 1")
		}
	}
	if os.Geteuid() != 0 {
		return errors.New("only root can mount for others")
	}
	if err := service.Supported(); err != nil {
		return err
	}
	socket, err := inherited()
	if err == nil && socket < 0 {
		socket, err = listen(s)
	}
	if err != nil {
		return err
	}
	supervisor, err := service.New(service.Config{Limits: s.limits})
	if err != nil {
		return errors.Join(err, unix.Close(socket))
	}
	if _, err := supervisor.Add(socket, nil, nil); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return supervisor.Run(ctx)
}

// inherited gives the socket that systemd or another supervisor has passed (sd_listen_fds(3)), or -1.
func inherited() (int, error) {
	pid, n := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS")
	if pid != strconv.Itoa(os.Getpid()) || n == "" {
		return -1, nil
	}
	const first = 3
	if n != "1" {
		return -1, fmt.Errorf("LISTEN_FDS=%s: one socket is needed", n)
	}
	kind, err := unix.GetsockoptInt(first, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || kind != unix.SOCK_SEQPACKET {
		return -1, errors.New("the inherited descriptor is no socket of type SOCK_SEQPACKET (ListenSequentialPacket=)")
	}
	if listens, err := unix.GetsockoptInt(first, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listens == 0 {
		return -1, errors.New("the inherited socket does not listen")
	}
	unix.CloseOnExec(first)
	return first, nil
}

// listen makes the socket. One that another process listens at is left alone.
func listen(s settings) (int, error) {
	mode, err := strconv.ParseUint(s.mode, 8, 9+1)
	if err != nil || mode > 0o777 {
		return -1, fmt.Errorf("--mode %s: not the octal mode of a file", s.mode)
	}
	gid := -1
	if s.group != "" {
		g, err := user.LookupGroup(s.group)
		if err != nil {
			return -1, err
		}
		if gid, err = strconv.Atoi(g.Gid); err != nil {
			return -1, err
		}
	}
	if err := os.MkdirAll(filepath.Dir(s.socket), 0o755); err != nil {
		return -1, err
	}
	address := &net.UnixAddr{Name: s.socket, Net: "unixpacket"}
	if err := removeStale(address); err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	// Nobody can connect before it listens, and by then the mode is right.
	err = os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrUnix{Name: s.socket}))
	if err == nil {
		err = os.Chown(s.socket, -1, gid)
	}
	if err == nil {
		err = os.Chmod(s.socket, fs.FileMode(mode))
	}
	if err == nil {
		err = os.NewSyscallError("listen", unix.Listen(fd, backlog))
	}
	if err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// backlog is how many clients may wait for a worker; the kernel has a limit of its own (somaxconn).
const backlog = 4096

// removeStale removes a socket that nobody listens at.
func removeStale(address *net.UnixAddr) error {
	info, err := os.Lstat(address.Name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is not a socket", address.Name)
	}
	c, err := net.DialUnix("unixpacket", nil, address)
	switch {
	case err == nil:
		return errors.Join(fmt.Errorf("another process listens at %s", address.Name), c.Close())
	case errors.Is(err, unix.ECONNREFUSED):
		return os.Remove(address.Name)
	}
	return err
}
