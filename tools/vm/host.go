package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/tools/vm/plan"
)

// onHost runs the tests on this machine's kernel, if it may. They keep to a
// mount namespace of their own.
func (s settings) onHost() ([]column, error) {
	if os.Geteuid() != 0 {
		fmt.Println("SKIPPED: this machine's kernel: run it as root")
		return nil, nil
	}
	name, err := series()
	if err != nil {
		return nil, err
	}
	source, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	helper, err := filepath.Abs(s.helper)
	if err != nil {
		return nil, err
	}
	programs, err := filepath.Abs(filepath.Join(s.dir, "bin/tests"))
	if err != nil {
		return nil, err
	}
	here := place{programs: programs, helper: helper, source: source, scripts: bothWays, env: os.Environ()}
	start := time.Now()
	var records bytes.Buffer
	var worked time.Duration
	for _, step := range here.steps(s.part) {
		d, err := record(&records, step)
		if err != nil {
			return nil, err
		}
		worked += d
	}
	fmt.Fprintln(&records, plan.Done)
	c, err := s.read(name, records.Bytes())
	if err != nil {
		return nil, err
	}
	c.took, c.worked = time.Since(start), worked
	fmt.Println(c)
	return []column{c}, nil
}

// record runs one step as a guest does.
func record(to *bytes.Buffer, step plan.Step) (worked time.Duration, err error) {
	fmt.Fprintf(to, "%s%s\n", plan.Begin, step.Name)
	cmd := exec.Command(step.Argv[0], step.Argv[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = step.Env, step.Dir, to, to
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	fmt.Fprintf(to, "%s%s %d\n", plan.End, step.Name, cmd.ProcessState.ExitCode())
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

// series is the kernel's version as far as it tells what the kernel can do.
func series() (string, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "", err
	}
	parts := strings.SplitN(unix.ByteSliceToString(name.Release[:]), ".", 3)
	if len(parts) < 2 {
		return "", fmt.Errorf("release %q", parts)
	}
	return parts[0] + "." + parts[1], nil
}
