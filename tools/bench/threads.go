package main

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// stopped runs a program from a shell that has stopped itself before. A setuid program
// gets its rights from root's tracer, but not from one for which it has asked itself,
// which is what [syscall.SysProcAttr] has.
func stopped(path string, args []string) (shell string, argv []string) {
	return "/bin/sh", append([]string{"sh", "-c", `kill -STOP $$; exec "$0" "$@"`, path}, args...)
}

// countThreads lets a process that is about to stop run to its end, and gives the
// number of threads of it and of its children, its first included.
func countThreads(pid int) (threads int64, err error) {
	var status unix.WaitStatus
	if _, err := unix.Wait4(pid, &status, unix.WUNTRACED, nil); err != nil || !status.Stopped() {
		return 0, fmt.Errorf("wait for a stop: status %#x, %v", status, err)
	}
	const options = unix.PTRACE_O_EXITKILL | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK
	if err := seize(pid, options); err != nil {
		return 0, fmt.Errorf("PTRACE_SEIZE: %w", err)
	}
	if err := unix.Kill(pid, unix.SIGCONT); err != nil {
		return 0, err
	}
	threads = 1
	for {
		task, err := unix.Wait4(-1, &status, unix.WALL, nil)
		switch {
		case err != nil:
			return 0, fmt.Errorf("wait: %w", err)
		case task == pid && !status.Stopped():
			if status != 0 {
				err = fmt.Errorf("it ended with status %#x", status)
			}
			return threads, err
		case !status.Stopped():
			continue
		}
		signal := 0
		switch event := status >> 16; event {
		case unix.PTRACE_EVENT_CLONE, unix.PTRACE_EVENT_FORK, unix.PTRACE_EVENT_VFORK:
			threads++
		case 0:
			signal = int(status.StopSignal())
		}
		// The exit of another thread may have ended it meanwhile.
		if err := unix.PtraceCont(task, signal); err != nil && !errors.Is(err, unix.ESRCH) {
			return 0, fmt.Errorf("PTRACE_CONT: %w", err)
		}
	}
}

func seize(pid int, options uintptr) error {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(pid), 0, options, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
