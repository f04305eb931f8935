package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/tools/vm/plan"
)

// aliases are the names under which the kernel asks for the modules.
var aliases = map[string]string{
	"fs-fuse":           "fuse",
	"fs-fuseblk":        "fuse",
	"fs-fusectl":        "fuse",
	"char-major-10-229": "fuse",
	"char-major-10-237": "loop",
}

// modprobe is called by the kernel as "modprobe -q -- NAME". It logs the process that
// caused the call.
func modprobe(args []string) int {
	if err := note(args); err != nil {
		fmt.Fprintln(os.Stderr, "modprobe:", err)
		return 1
	}
	for _, name := range args {
		if strings.HasPrefix(name, "-") {
			continue
		}
		if known, ok := aliases[name]; ok {
			name = known
		}
		if err := load(name); err != nil {
			fmt.Fprintln(os.Stderr, "modprobe:", err)
			return 1
		}
	}
	return 0
}

func note(args []string) error {
	f, err := os.OpenFile(plan.ModprobeLog, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "for %q, uid %d: %s\n", caller(), os.Getuid(), strings.Join(args, " "))
	return errors.Join(err, f.Close())
}

// caller is the command line of the process that asked: empty for a thread of
// the kernel.
func caller() string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", os.Getppid()))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// load loads a module; one that the kernel has built in has no file.
func load(name string) error {
	f, err := os.Open(plan.Modules + "/" + name + ".ko")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	return nil
}
