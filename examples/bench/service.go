package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/ask"
	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// roundsEnv makes this program one that makes a round for each line of its standard input, and writes
// how long its two steps took. The value is service or go-fuse, and the directory.
const roundsEnv = "BENCH_ROUNDS"

// base is the id outside of the user namespace of its root.
const base = 300_000

// byService times a mount by the mount service, in a plain mount namespace and in a user namespace,
// against go-fuse's own code with the C helper.
func byService(service, reference string, runs int) error {
	socket, stop, err := startService(service)
	if err != nil {
		return err
	}
	passwd := fmt.Sprintf("bench:x:%d:%d::/:/bin/sh\n", user, user) // the C helper wants a name
	if text, err := os.ReadFile("/etc/passwd"); err == nil {
		passwd += string(text)
	}
	if err := os.WriteFile("/etc/passwd", []byte(passwd), 0o644); err != nil {
		return err
	}
	helper, uninstall, err := fusetest.Install(reference, fusetest.Setuid)
	if err != nil {
		return err
	}
	env := []string{ask.SocketVariable + "=" + socket, "PATH=" + filepath.Dir(helper)}
	theirs, endTheirs, err := rounder("go-fuse", user, env, &syscall.SysProcAttr{})
	if err != nil {
		return err
	}
	ours, endOurs, err := rounder("service", user, env, &syscall.SysProcAttr{})
	if err != nil {
		return err
	}
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: base, Size: 65536}}
	inside, endInside, err := rounder("service", base+1000, env, &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS, UidMappings: ids, GidMappings: ids, GidMappingsEnableSetgroups: true,
	})
	if err != nil {
		return err
	}
	err = compare("by the mount service", "go-fuse+C", runs, ours, theirs)
	if err == nil {
		err = compare("by the mount service, in a user namespace", "go-fuse+C", runs, inside, theirs)
	}
	return errors.Join(err, endOurs(), endTheirs(), endInside(), stop(), uninstall())
}

// startService starts the service, and says how much memory it has when it is idle.
func startService(program string) (socket string, stop func() error, err error) {
	dir, remove, err := fusetest.MakeDir(0)
	if err != nil {
		return "", nil, err
	}
	socket = filepath.Join(dir, "socket")
	cmd := exec.Command(program, "--socket", socket)
	cmd.Env, cmd.Stderr = []string{}, os.Stderr
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
		_, other := os.Stat(socket)
		if err == nil && other == nil && len(strings.Fields(string(children))) == 2 || time.Now().After(end) {
			time.Sleep(200 * time.Millisecond) // until the workers wait
			total := 0
			for _, pid := range append(strings.Fields(string(children)), fmt.Sprint(cmd.Process.Pid)) {
				total += memory(pid)
			}
			fmt.Printf("the mount service, idle, with its workers: %d kB of its own\n", total)
			break
		}
	}
	return socket, func() error {
		err := cmd.Process.Signal(unix.SIGTERM)
		return errors.Join(err, cmd.Wait(), remove())
	}, nil
}

// memory is the proportional share of a process's memory in kB.
func memory(pid string) (kb int) {
	text, err := os.ReadFile("/proc/" + pid + "/smaps_rollup")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "Pss:") {
			_, _ = fmt.Sscanf(line, "Pss: %d kB", &kb) // 0 if it has another form
		}
	}
	return kb
}

// rounder starts this program as one that makes rounds, with these ids outside.
func rounder(how string, uid int, env []string, attr *syscall.SysProcAttr) (c *contestant, end func() error, err error) {
	dir, remove, err := fusetest.MakeDir(uint32(uid))
	if err != nil {
		return nil, nil, err
	}
	self, uninstall, err := fusetest.Install("/proc/self/exe", fusetest.Plain)
	if err != nil {
		return nil, nil, err
	}
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
	if attr.Cloneflags != 0 {
		attr.Credential = &syscall.Credential{Uid: uint32(uid - base), Gid: uint32(uid - base)}
	}
	cmd := exec.Command(self)
	cmd.Env, cmd.Dir, cmd.Stderr, cmd.SysProcAttr = append(env, roundsEnv+"="+how+" "+dir), "/", os.Stderr, attr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	answers := bufio.NewReader(out)
	c = &contestant{round: func() (mount, unmount time.Duration, err error) {
		if _, err := io.WriteString(in, "\n"); err != nil {
			return 0, 0, err
		}
		_, err = fmt.Fscanln(answers, &mount, &unmount)
		return mount, unmount, err
	}}
	return c, func() error { return errors.Join(in.Close(), cmd.Wait(), remove(), uninstall()) }, nil
}

// makeRounds is this program as one that makes rounds.
func makeRounds(value string) error {
	how, dir, _ := strings.Cut(value, " ")
	round := byPackage(dir, fusermount.Options{FSName: "bench", Subtype: "bench", Method: fusermount.MethodService})
	if how == "go-fuse" {
		round = byGoFuse(dir)
	}
	asked := bufio.NewReader(os.Stdin)
	for {
		if _, err := asked.ReadString('\n'); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		mount, unmount, err := round()
		if err != nil {
			return err
		}
		fmt.Println(int64(mount), int64(unmount))
	}
}

// byPackage mounts by this package and serves by go-fuse.
func byPackage(dir string, o fusermount.Options) func() (mount, unmount time.Duration, err error) {
	ctx := context.Background()
	return func() (mount, unmount time.Duration, err error) {
		start := time.Now()
		m, err := fusermount.Mount(ctx, dir, &o)
		if err != nil {
			return 0, 0, err
		}
		fd, err := unix.FcntlInt(m.File().Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return 0, 0, errors.Join(err, m.Close())
		}
		server, err := newServer(fmt.Sprintf("/dev/fd/%d", fd))
		mount = time.Since(start)
		if err != nil {
			return 0, 0, errors.Join(err, m.Close())
		}
		ended := serve(server)
		start = time.Now()
		err = m.Unmount(ctx, nil)
		<-ended
		return mount, time.Since(start), errors.Join(err, m.Close())
	}
}

// byGoFuse mounts and serves by go-fuse.
func byGoFuse(dir string) func() (mount, unmount time.Duration, err error) {
	return func() (mount, unmount time.Duration, err error) {
		start := time.Now()
		server, err := newServer(dir)
		mount = time.Since(start)
		if err != nil {
			return 0, 0, err
		}
		ended := serve(server)
		start = time.Now()
		err = server.Unmount()
		<-ended
		return mount, time.Since(start), err
	}
}
