// Holder is both sides of an attack on a set-uid program that is replaced or
// removed. Installed as that program, it prints which privileges it was given.
// Run by an ordinary user,
//
//	holder hold PATH...
//
// opens each path, prints "holding", waits for the end of its standard input,
// and then executes the files that it has kept open. The exit status is 0 if
// none of them runs with privileges, 1 if one may, 2 if something else failed.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

const atSecure = 23 // AT_SECURE of <linux/auxvec.h>

// What an attempt ends with. The first two give the attacker nothing.
const (
	refused      = "refused"
	unprivileged = "ran without privileges"
	privileged   = "ran with privileges"
)

func main() {
	var err error
	switch {
	case len(os.Args) > 2 && os.Args[1] == "hold":
		err = hold(os.Args[2:])
	case len(os.Args) == 3 && os.Args[1] == "exec":
		err = execHeld(os.Args[2])
	default:
		err = printPrivileges()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "holder:", err)
		os.Exit(2)
	}
}

// printPrivileges is what the program does in place of the helper.
func printPrivileges() error {
	auxv, err := unix.Auxv()
	if err != nil {
		return err
	}
	secure := false
	for _, pair := range auxv {
		secure = secure || pair[0] == atSecure && pair[1] != 0
	}
	caps := [2]unix.CapUserData{}
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &caps[0]); err != nil {
		return err
	}
	permitted := caps[0].Permitted | caps[1].Permitted
	if secure || permitted != 0 || os.Geteuid() != os.Getuid() || os.Getegid() != os.Getgid() {
		fmt.Println(privileged)
	} else {
		fmt.Println(unprivileged)
	}
	return nil
}

// held is one descriptor of a program.
type held struct {
	how  string
	file *os.File
}

func hold(paths []string) error {
	var all []held
	for _, path := range paths {
		for how, flags := range map[string]int{"O_PATH": unix.O_PATH, "O_RDONLY": unix.O_RDONLY} {
			fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
			if err != nil {
				return &os.PathError{Op: "open " + how, Path: path, Err: err}
			}
			all = append(all, held{how, os.NewFile(uintptr(fd), path)})
		}
	}
	fmt.Println("holding")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	lost := false
	for _, h := range all {
		for _, call := range []string{"execve", "execveat"} {
			result, err := h.attempt(call)
			if err != nil {
				return err
			}
			fmt.Printf("%s %s %s: %s\n", h.file.Name(), h.how, call, result)
			lost = lost || result != refused && result != unprivileged
		}
	}
	if lost {
		os.Exit(1)
	}
	return nil
}

// attempt executes the program in a new process.
func (h held) attempt(call string) (result string, err error) {
	cmd := exec.Command("/proc/self/exe", "exec", call)
	cmd.ExtraFiles = []*os.File{h.file}
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return "", err
	}
	return strings.TrimSpace(string(out)), nil
}

// execHeld replaces this process by the program on descriptor 3.
func execHeld(call string) error {
	const fd = 3
	argv := []string{"fusermount3", "--version"}
	var err error
	switch call {
	case "execve":
		err = unix.Exec(fmt.Sprintf("/proc/self/fd/%d", fd), argv, nil)
	case "execveat":
		err = execveat(fd, argv)
	default:
		return fmt.Errorf("there is no way to execute named %q", call)
	}
	if errors.Is(err, unix.EACCES) {
		fmt.Println(refused)
		return nil
	}
	return fmt.Errorf("%s: %w", call, err)
}

// execveat returns only if it fails.
func execveat(fd uintptr, args []string) error {
	empty, env := []byte{0}, []*byte{nil}
	var argv []*byte
	for _, arg := range args {
		p, err := unix.BytePtrFromString(arg)
		if err != nil {
			return err
		}
		argv = append(argv, p)
	}
	argv = append(argv, nil)
	_, _, errno := unix.RawSyscall6(unix.SYS_EXECVEAT, fd, uintptr(unsafe.Pointer(&empty[0])),
		uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&env[0])), unix.AT_EMPTY_PATH, 0)
	return errno
}
