package conformance

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// The commands that make what a script needs: directories, files, devices,
// and mounts that are not the helper's.

// cmdLoop: loop VAR FILE makes a block device of a file, until the script ends.
func cmdLoop(ts *script, _ bool, args []string) {
	out, err := exec.Command("losetup", "-f", "--show", expand(ts, args[1])).CombinedOutput()
	device := strings.TrimSpace(string(out))
	if err != nil {
		ts.Fatalf("losetup: %v: %s", err, device)
	}
	ts.Defer(func() { ts.Check(exec.Command("losetup", "-d", device).Run()) })
	ts.Setenv(args[0], device)
}

// cmdName: name VAR 'a\nb' puts a text with Go's escapes into a variable.
func cmdName(ts *script, _ bool, args []string) {
	text, err := strconv.Unquote(`"` + expand(ts, args[1]) + `"`)
	ts.Check(err)
	ts.Setenv(args[0], text)
}

// cmdDir: dir UID MODE PATH makes a directory.
func cmdDir(ts *script, _ bool, args []string) {
	uid, mode, path := owned(ts, args)
	ts.Check(os.MkdirAll(path, 0o755))
	own(ts, uid, mode, path)
}

// cmdFile: file UID MODE PATH makes a regular file, and a note of its kind.
func cmdFile(ts *script, _ bool, args []string) {
	uid, mode, path := owned(ts, args)
	for _, p := range []string{path, of(ts).covered(path)} {
		ts.Check(os.WriteFile(p, nil, 0o644))
	}
	own(ts, uid, mode, path)
}

func owned(ts *script, args []string) (uid int, mode fs.FileMode, path string) {
	uid, err := strconv.Atoi(args[0])
	ts.Check(err)
	bits, err := strconv.ParseUint(args[1], 8, 32)
	ts.Check(err)
	mode = fs.FileMode(bits & 0o777)
	if bits&0o1000 != 0 {
		mode |= fs.ModeSticky
	}
	return uid, mode, expand(ts, args[2])
}

func own(ts *script, uid int, mode fs.FileMode, path string) {
	ts.Check(os.Chown(path, uid, uid))
	ts.Check(os.Chmod(path, mode))
}

// cmdWrite: write PATH MODE TEXT writes a file with Go's escapes in TEXT.
func cmdWrite(ts *script, _ bool, args []string) {
	path := expand(ts, args[0])
	mode, err := strconv.ParseUint(args[1], 8, 32)
	ts.Check(err)
	text, err := strconv.Unquote(`"` + args[2] + `"`)
	ts.Check(err)
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
	ts.Check(os.WriteFile(path, []byte(text), 0o644))
	ts.Check(os.Chmod(path, fs.FileMode(mode)))
}

// cmdControl: control mounts fusectl until the script ends.
func cmdControl(ts *script, _ bool, _ []string) {
	ts.Check(unix.Mount("fusectl", fusetest.ControlPath, "fusectl", 0, ""))
	ts.Defer(func() { ts.Check(unix.Unmount(fusetest.ControlPath, unix.MNT_DETACH)) })
}

// cmdMount: mount TYPE PATH [OPTIONS] mounts something else, as root.
func cmdMount(ts *script, _ bool, args []string) {
	path := expand(ts, args[1])
	options := ""
	if len(args) > 2 {
		options = args[2]
	}
	flags := uintptr(0)
	source := "other"
	switch args[0] {
	case "bind":
		flags, source = unix.MS_BIND, expand(ts, options)
		options = ""
	case "ro-bind":
		ts.Check(unix.Mount(path, path, "", unix.MS_BIND, ""))
		ts.Check(unix.Mount("", path, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		return
	}
	if err := unix.Mkdir(path, 0o755); err != nil && flags == 0 && !errors.Is(err, unix.EEXIST) {
		ts.Fatalf("mkdir %s: %v", path, err)
	}
	if err := unix.Mount(source, path, args[0], flags, options); err != nil {
		ts.Fatalf("mount %s %s: %v", args[0], path, err)
	}
}
