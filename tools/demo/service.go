package main

import (
	"bufio"
	"context"
	"encoding/json"
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

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// containerEnv makes this program the one in a container of sorts: a user namespace and a mount
// namespace, where it has no rights. The value is a container as JSON.
const containerEnv = "DEMO_CONTAINER"

type container struct{ Helper, Dir, Socket string }

// base is the id outside of the container's root.
const base = 300_000

func init() {
	fusetest.Role(containerEnv, func(value string) {
		var c container
		err := json.Unmarshal([]byte(value), &c)
		if err == nil {
			err = c.run()
		}
		if err != nil {
			fmt.Println("   ", err)
			os.Exit(1)
		}
		os.Exit(0)
	})
}

// run mounts, reads and unmounts, as any FUSE program does.
func (c container) run() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	call := helpertest.Call{Prog: c.Helper, KeepRoot: true, Dir: "/", Args: []string{"-o", "fsname=demo", c.Dir}, Env: []string{"FUSERMOUNT_SOCKET=" + c.Socket}}
	fmt.Printf("   $ id -u; grep CapEff /proc/self/status\n   %d\n", os.Getuid())
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "CapEff") {
			fmt.Print("   ", line)
		}
	}
	fmt.Printf("   $ fusermount3 %s\n", strings.Join(call.Args, " "))
	mounted := call.Run(ctx)
	if mounted.Err != nil || mounted.Dev == nil {
		return errors.Join(mounted.Err, errors.New(mounted.Stderr))
	}
	wait, err := fuseserver.ServeHere(mounted.Dev, fuseserver.Tree{Files: map[string][]byte{"hello.txt": []byte("Hello from a container!\n")}})
	if err != nil {
		return err
	}
	// Not by package os, whose poller would ask the daemon, which is in this process.
	text, err := rawfile.Text(filepath.Join(c.Dir, "hello.txt"))
	if err != nil {
		return err
	}
	fmt.Printf("   $ cat %s/hello.txt\n   %s", c.Dir, text)
	call.Args, call.Socket = []string{"-u", c.Dir}, helpertest.NoSocket
	fmt.Printf("   $ fusermount3 %s\n", strings.Join(call.Args, " "))
	unmounted := call.Run(ctx)
	if unmounted.Err != nil || unmounted.Exit != 0 {
		return errors.Join(unmounted.Err, errors.New(unmounted.Stderr))
	}
	return wait()
}

// container shows the mount service: a program in a container mounts without a set-uid program.
func (s *show) container(helper, service string) (err error) {
	const title = "In a container, without rights, the same fusermount3 asks the mount service:"
	leftOut := func(why string) error {
		s.title(title)
		fmt.Println("   (left out: " + why + ")")
		return nil
	}
	switch _, missing := os.Stat(service); {
	case missing != nil:
		return leftOut("fusermountd is not built")
	case fusetest.Have() != fusetest.Root:
		return leftOut("only root can start fusermountd")
	}
	program, remove, err := fusetest.Install(helper, fusetest.Plain)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	self, removeSelf, err := fusetest.Install("/proc/self/exe", fusetest.Plain)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeSelf()) }()
	dir, removeDir, err := fusetest.MakeDir(base + 1000)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeDir()) }()
	run, removeRun, err := fusetest.MakeDir(0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeRun()) }()

	socket := filepath.Join(run, "socket")
	daemon := exec.Command(service, "--socket", socket)
	log, err := daemon.StderrPipe()
	if err != nil {
		return err
	}
	daemon.Env = []string{}
	if err := daemon.Start(); err != nil {
		return err
	}
	said := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(bufio.NewReader(log)) // it ends with the service
		said <- string(text)
	}()
	defer func() {
		_ = daemon.Process.Signal(unix.SIGTERM) // it may have ended
		text := <-said
		if failed := daemon.Wait(); failed != nil && helpertest.NotHere(text) {
			err = leftOut(strings.TrimSpace(text))
		} else if failed != nil {
			err = errors.Join(err, failed, errors.New(text))
		}
	}()
	if err := helpertest.AwaitListener(socket); err != nil {
		return err
	}
	s.title(title)
	value, err := json.Marshal(container{Helper: program, Dir: dir, Socket: socket})
	if err != nil {
		return err
	}
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: base, Size: 65536}}
	cmd := exec.Command(self)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = []string{containerEnv + "=" + string(value)}, "/", os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS, UidMappings: ids, GidMappings: ids, GidMappingsEnableSetgroups: true,
		Credential: &syscall.Credential{Uid: 1000, Gid: 1000},
	}
	return cmd.Run()
}
