// Command guest is the first and only program that a guest kernel starts: it
// mounts what a Linux system has, carries out the plan, and reports on the
// second serial line. Called as modprobe, by the kernel, it loads a module.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/tools/vm/plan"
)

func main() {
	if filepath.Base(os.Args[0]) == "modprobe" {
		os.Exit(modprobe(os.Args[1:]))
	}
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
	}
	unix.Sync()
	// qemu runs with -no-reboot, and ends.
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART); err != nil {
		fmt.Fprintln(os.Stderr, "guest: reboot:", err)
	}
}

func serve() error {
	if err := mountAll(); err != nil {
		return err
	}
	out, err := openSerial("/dev/ttyS1")
	if err != nil {
		return err
	}
	text, err := os.ReadFile(plan.Path)
	if err != nil {
		return err
	}
	var steps []plan.Step
	if err := json.Unmarshal(text, &steps); err != nil {
		return err
	}
	for _, s := range steps {
		status, err := carryOut(s, out)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		if _, err := fmt.Fprintf(out, "%s%s %d\n", plan.End, s.Name, status); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(out, plan.Done)
	return err
}

func carryOut(s plan.Step, out *os.File) (status int, err error) {
	if _, err := fmt.Fprintf(out, "%s%s\n", plan.Begin, s.Name); err != nil {
		return 0, err
	}
	for _, name := range s.Load {
		if err := load(name); err != nil {
			return 0, err
		}
	}
	cmd := exec.Command(s.Argv[0], s.Argv[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = s.Env, s.Dir, out, out
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}
