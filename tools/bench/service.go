package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// byService compares our set-uid helper with the same program without rights, which asks the mount
// service.
func byService(stage, program string, setuid *helper, runs int) (err error) {
	asks := &helper{name: "asks the service", path: filepath.Join(stage, "asks"), socket: filepath.Join(stage, "socket")}
	text, err := os.ReadFile(setuid.path)
	if err != nil {
		return err
	}
	if err := os.WriteFile(asks.path, text, 0o755); err != nil {
		return err
	}
	service := exec.Command(program, "--socket", asks.socket)
	service.Env, service.Stderr = []string{}, os.Stderr
	if err := service.Start(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, service.Process.Signal(syscall.SIGTERM), service.Wait()) }()
	if err := helpertest.AwaitListener(asks.socket); err != nil {
		return err
	}
	b := &board{mountpoint: filepath.Join(stage, "mnt"), helpers: []*helper{setuid, asks}}
	return b.rounds(fmt.Sprintf("set-uid, and without rights (%s)", filepath.Base(program)), runs)
}
