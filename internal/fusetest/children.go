package fusetest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// killChildren kills the processes that the tests left running, and theirs as
// they come to us, and says which they were. Only our own children are looked
// at; those that had ended already are reaped in silence.
func killChildren() []string {
	var left []string
	seen := make(map[int]bool)
	for {
		pids := children()
		if len(pids) == 0 {
			return left
		}
		for _, pid := range pids {
			if name, alive := describe(pid); alive && !seen[pid] {
				left = append(left, name)
			}
			seen[pid] = true
			if err := endChild(pid); err != nil {
				return append(left, fmt.Sprintf("process %d: %v", pid, err))
			}
		}
	}
}

// endChild kills one child and reaps it.
func endChild(pid int) error {
	if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return os.NewSyscallError("kill", err)
	}
	for {
		_, err := unix.Wait4(pid, nil, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ECHILD):
			return nil
		}
		return os.NewSyscallError("wait4", err)
	}
}

// children lists the children of all our threads.
func children() []int {
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		return nil
	}
	var pids []int
	for _, list := range lists {
		data, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended; its children are another's now
		}
		for _, f := range strings.Fields(string(data)) {
			if pid, err := strconv.Atoi(f); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// describe returns a process's command line, and false for a zombie.
func describe(pid int) (string, bool) {
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(cmdline) == 0 {
		return "", false
	}
	text := bytes.ReplaceAll(bytes.TrimRight(cmdline, "\x00"), []byte{0}, []byte{' '})
	return fmt.Sprintf("%d (%s)", pid, text), true
}
