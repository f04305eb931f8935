// Command demo mounts a small file system as an unprivileged user, reads a file,
// kills the daemon that serves it, and unmounts. It prints each command as a shell
// would take it.
//
// It runs in a mount namespace of its own, so nothing is left on the machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// unprivileged is the uid of an ordinary user. It needs no name.
const unprivileged = 4242

func main() {
	helper := flag.String("helper", "build/fusermount3", "the fusermount3 to show")
	fusectl := flag.String("fusectl", "", "the fusectl to show; without it those steps are left out")
	service := flag.String("service", "", "the fusermountd to show")
	flag.Parse()
	os.Exit(fusetest.Run(func() int {
		if err := demo(*helper, *fusectl, *service); err != nil {
			fmt.Fprintln(os.Stderr, "demo:", err)
			return 1
		}
		return 0
	}))
}

// show is one run of the demo.
type show struct {
	uid       uint32
	call      helpertest.Call // of the helper
	fusectl   string          // empty if there is none
	dir, file string
	step      int
}

func demo(helper, fusectl, service string) (err error) {
	if err := ready(); err != nil {
		return err
	}
	s := show{uid: unprivileged}
	mode, actor := fusetest.Setuid, "an unprivileged user (uid 4242), through a setuid-root fusermount3"
	switch noOther := fusetest.AsUser(unprivileged, unprivileged, func() error { return nil }); {
	case fusetest.Have() != fusetest.Root:
		s.uid, mode, actor = 0, fusetest.Plain, "you, in a new user namespace, where fusermount3 needs no setuid bit"
	case noOther != nil:
		s.uid, mode, actor = 0, fusetest.Plain, "root: this user namespace has no second user ("+noOther.Error()+")"
	}
	program, remove, err := fusetest.Install(helper, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if s.fusectl, remove, err = install(fusectl); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if fusetest.Have() == fusetest.Root {
		// Most systems have it mounted. Where that fails, the states are unknown, and
		// fusectl says why.
		if unix.Mount("fusectl", fusetest.ControlPath, "fusectl", 0, "") == nil {
			defer func() { err = errors.Join(err, unix.Unmount(fusetest.ControlPath, unix.MNT_DETACH)) }()
		}
	}
	dir, removeDir, err := fusetest.MakeDir(s.uid)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeDir()) }()
	s.dir, s.file = dir, filepath.Join(dir, "hello.txt")
	s.call = helpertest.Call{Prog: program, UID: s.uid, GID: s.uid, KeepRoot: s.uid == 0, Dir: "/"}
	fmt.Printf("All commands are run by %s.\n\n", actor)
	if err := s.run(); err != nil {
		return err
	}
	fmt.Println()
	return s.container(helper, service)
}

// install copies fusectl to where the user may run it.
func install(fusectl string) (path string, remove func() error, err error) {
	if _, err := os.Stat(fusectl); fusectl == "" || errors.Is(err, fs.ErrNotExist) {
		return "", func() error { return nil }, nil
	}
	return fusetest.Install(fusectl, fusetest.Plain)
}

func (s *show) run() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	s.title("Mount. The program that serves the files (the daemon) runs")
	mount, err := s.helper(ctx, helpertest.Stream, "-o", "ro,fsname=demo,subtype=hello", "--", s.dir)
	if err != nil {
		return err
	}
	if mount.Dev == nil {
		return errors.New("fusermount3 sent no descriptor")
	}
	daemon := fuseserver.Serve(mount.Dev, fuseserver.Tree{Files: map[string][]byte{
		"hello.txt": []byte("Hello! No disk holds this text: the daemon makes it up.\n"),
	}})
	defer daemon.Close() // its error is that of the kill below
	line, found, err := fusetest.TopMount(s.dir)
	if err != nil || !found {
		return errors.Join(errors.New("nothing is mounted"), err)
	}
	fmt.Printf("   and receives the FUSE device over a socket. The kernel's mount table has:\n   %s on %s type %s (%s)\n\n",
		line.Source, line.Mountpoint, line.FSType, line.Options)

	s.title("Read a file. The kernel asks the daemon for its contents:")
	if err := s.command(ctx, 0, "cat", s.file); err != nil {
		return err
	}
	s.title("List the FUSE file systems and the state of their daemons:")
	if err := s.list(ctx); err != nil {
		return err
	}

	s.title("Kill the daemon. Its mount stays, and every access fails:")
	fmt.Printf("   $ kill -KILL %d\n", daemon.Pid())
	if err := unix.Kill(daemon.Pid(), unix.SIGKILL); err != nil {
		return err
	}
	<-daemon.Done()
	if err := s.command(ctx, 1, "cat", s.file); err != nil {
		return err
	}
	if err := s.list(ctx); err != nil {
		return err
	}

	s.title("Unmount. This works for a dead file system, too:")
	if _, err := s.helper(ctx, helpertest.NoSocket, "-u", s.dir); err != nil {
		return err
	}
	if _, found, err := fusetest.TopMount(s.dir); err != nil || found {
		return errors.Join(errors.New("it is still mounted"), err)
	}
	fmt.Println("   The mount is gone.")
	return nil
}

func (s *show) title(text string) {
	s.step++
	fmt.Printf("%d. %s\n", s.step, text)
}

// helper runs fusermount3.
func (s *show) helper(ctx context.Context, socket helpertest.SocketKind, args ...string) (helpertest.Result, error) {
	fmt.Printf("   $ fusermount3 %s\n", strings.Join(args, " "))
	s.call.Args, s.call.Socket = args, socket
	result := s.call.Run(ctx)
	if result.Err == nil && result.Exit != 0 {
		result.Err = errors.New(strings.TrimSpace(result.Stderr))
	}
	return result, result.Err
}

// list runs fusectl list. It exits with status 1 where a daemon is dead.
func (s *show) list(ctx context.Context) error {
	if s.fusectl == "" {
		fmt.Printf("   $ fusectl list %s\n   (left out: fusectl is not built)\n\n", s.dir)
		return nil
	}
	return s.command(ctx, 1, s.fusectl, "list", s.dir)
}

// command runs a program as the user and prints what it prints. No other user, not
// even root, may look into the mount. Exit statuses up to worst are no error.
func (s *show) command(ctx context.Context, worst int, program string, args ...string) error {
	fmt.Printf("   $ %s %s\n", filepath.Base(program), strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = "/"
	if s.uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: s.uid, Gid: s.uid}}
	}
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		fmt.Print("   ", line)
	}
	fmt.Println()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() > 0 && exit.ExitCode() <= worst {
		return nil
	}
	return err
}
