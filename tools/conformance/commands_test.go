package conformance

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

type script = testscript.TestScript

// commands are the commands of the scripts. $NAME in their arguments is expanded, within
// quotes, too.
var commands = map[string]func(ts *script, neg bool, args []string){
	"fm":        cmdRun,
	"ctl":       cmdCtl,
	"as":        cmdAs,
	"comm":      cmdComm,
	"cd-to":     func(ts *script, _ bool, args []string) { of(ts).call.Dir = expand(ts, args[0]) },
	"envs":      func(ts *script, _ bool, args []string) { of(ts).call.Env = expandAll(ts, args) },
	"out":       cmdOut,
	"err":       cmdErr,
	"err-like":  cmdErrLike,
	"hint":      cmdHint,
	"no-stderr": func(ts *script, _ bool, _ []string) { equal(ts, "standard error", of(ts).result.Stderr, "") },
	"loop":      cmdLoop,
	"name":      cmdName,
	"dir":       cmdDir,
	"file":      cmdFile,
	"write":     cmdWrite,
	"same":      cmdSame,
	"fifo":      func(ts *script, _ bool, args []string) { ts.Check(unix.Mkfifo(expand(ts, args[0]), 0o666)) },
	"link": func(ts *script, _ bool, args []string) {
		ts.Check(os.Symlink(expand(ts, args[0]), expand(ts, args[1])))
	},
	"mount":   cmdMount,
	"control": cmdControl,
	"mounted": cmdMounted,
	"read":    cmdRead,
	"hold":    cmdHold,
	"daemon":  cmdDaemon,
	"prompt":  cmdPrompt,
}

func expand(ts *script, text string) string { return os.Expand(text, ts.Getenv) }

func expandAll(ts *script, args []string) []string {
	out := make([]string, len(args))
	for i, arg := range args {
		out[i] = expand(ts, arg)
	}
	return out
}

func equal(ts *script, what, got, want string) {
	if got != want {
		ts.Fatalf("%s:\n got %q\nwant %q", what, got, want)
	}
}

// cmdRun: fm ARG... runs the helper; ! fm wants exit status 1.
func cmdRun(ts *script, neg bool, args []string) {
	s := of(ts)
	ts.Check(s.run(expandAll(ts, args)))
	want := 0
	if neg {
		want = 1
	}
	if s.result.Exit != want {
		ts.Fatalf("exit status %d, want %d\n%s%s", s.result.Exit, want, s.result.Stdout, s.result.Stderr)
	}
	if neg && s.result.Dev != nil {
		ts.Fatalf("a failed mount sent a descriptor")
	}
}

// cmdAs: as UID sets the caller.
func cmdAs(ts *script, _ bool, args []string) {
	uid, err := strconv.ParseUint(args[0], 10, 32)
	ts.Check(err)
	of(ts).call.UID, of(ts).call.GID = uint32(uid), uint32(uid)
}

// cmdComm: comm stream|seqpacket|none sets the comm socket.
func cmdComm(ts *script, _ bool, args []string) {
	kinds := map[string]helpertest.SocketKind{
		"stream": helpertest.Stream, "seqpacket": helpertest.Seqpacket, "none": helpertest.NoSocket,
	}
	kind, ok := kinds[args[0]]
	if !ok {
		ts.Fatalf("comm %s", args[0])
	}
	of(ts).call.Socket = kind
}

// cmdOut: out TEXT wants standard output to match a regular expression.
func cmdOut(ts *script, _ bool, args []string) {
	if !regexp.MustCompile("(?m)" + expand(ts, args[0])).MatchString(of(ts).result.Stdout) {
		ts.Fatalf("standard output %q does not match %q", of(ts).result.Stdout, args[0])
	}
}

// cmdErr: err LINE... wants exactly these messages, each after the program's
// name and a colon. Hints do not count.
func cmdErr(ts *script, _ bool, args []string) {
	lines, _ := of(ts).messages()
	equal(ts, "messages", strings.Join(lines, "\n"), strings.Join(expandAll(ts, args), "\n"))
	for line := range strings.SplitSeq(strings.TrimSuffix(of(ts).result.Stderr, "\n"), "\n") {
		if !strings.HasPrefix(line, of(ts).name+": ") {
			ts.Fatalf("a line without the program's name: %q", line)
		}
	}
}

// cmdErrLike: err-like REGEXP wants some message to match.
func cmdErrLike(ts *script, _ bool, args []string) {
	lines, _ := of(ts).messages()
	if !regexp.MustCompile(args[0]).MatchString(strings.Join(lines, "\n")) {
		ts.Fatalf("messages %q do not match %q", lines, args[0])
	}
}

// cmdHint: hint REGEXP wants a hint to match.
func cmdHint(ts *script, _ bool, args []string) {
	_, hints := of(ts).messages()
	if !regexp.MustCompile(args[0]).MatchString(strings.Join(hints, "\n")) {
		ts.Fatalf("hints %q do not match %q", hints, args[0])
	}
}

// cmdSame: same PATH REGEXP wants a file's text to match.
func cmdSame(ts *script, neg bool, args []string) {
	text, err := os.ReadFile(expand(ts, args[0]))
	ts.Check(err)
	if regexp.MustCompile(expand(ts, args[1])).MatchString(string(text)) == neg {
		ts.Fatalf("%s is %q", args[0], text)
	}
}

// cmdMounted: mounted PATH [KEY=VALUE...] wants a mount with these properties
// topmost there; ! mounted PATH wants none.
func cmdMounted(ts *script, neg bool, args []string) {
	line, found := find(ts, expand(ts, args[0]))
	if found == neg {
		ts.Fatalf("mounted at %q: %v", args[0], found)
	}
	for _, arg := range expandAll(ts, args[1:]) {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "type":
			equal(ts, "type", line.FSType, value)
		case "source":
			equal(ts, "source", line.Source, value)
		case "has", "not":
			for option := range strings.SplitSeq(value, "+") {
				if line.HasOption(option) != (key == "has") {
					ts.Fatalf("options %s, %s: %s %s", line.Options, line.SuperOptions, key, option)
				}
			}
		default:
			ts.Fatalf("mounted %s", arg)
		}
	}
}

func find(ts *script, path string) (fusetest.Line, bool) {
	line, found, err := fusetest.TopMount(path)
	ts.Check(err)
	return line, found
}

// cmdRead: read UID PATH reads the greeting as that user, through the daemon.
func cmdRead(ts *script, neg bool, args []string) {
	uid, err := strconv.ParseUint(args[0], 10, 32)
	ts.Check(err)
	var text []byte
	err = fusetest.AsUser(uint32(uid), uint32(uid), func() (err error) {
		text, err = os.ReadFile(expand(ts, args[1]))
		return err
	})
	if neg {
		if err == nil {
			ts.Fatalf("read %q", text)
		}
		return
	}
	ts.Check(err)
	equal(ts, "text", string(text), "hello, world\n")
}

// cmdHold: hold UID PATH keeps a file open until the script ends.
func cmdHold(ts *script, _ bool, args []string) {
	uid, err := strconv.ParseUint(args[0], 10, 32)
	ts.Check(err)
	ts.Check(fusetest.AsUser(uint32(uid), uint32(uid), func() error {
		f, err := os.Open(expand(ts, args[1]))
		if err == nil {
			ts.Defer(func() { _ = f.Close() })
		}
		return err
	}))
}

// cmdCtl: ctl ARG... runs fusectl, which finds the helper. ! ctl wants exit status 1,
// and ctl usage ARG... exit status 2.
func cmdCtl(ts *script, neg bool, args []string) {
	s := of(ts)
	helper := s.call
	defer func() { s.call = helper }()
	s.call.Prog = filepath.Join(filepath.Dir(os.Getenv("FUSERMOUNT_HELPER")), "fusectl")
	s.call.Socket = helpertest.NoSocket
	s.call.Env = append(slices.Clone(s.call.Env), "FUSERMOUNT_PROG="+helper.Prog)
	want := 0
	if neg {
		want = 1
	}
	if len(args) > 0 && args[0] == "usage" {
		want, args = 2, args[1:]
	}
	ts.Check(s.run(expandAll(ts, args)))
	s.name = "fusectl"
	if s.result.Exit != want {
		ts.Fatalf("exit status %d, want %d\n%s%s", s.result.Exit, want, s.result.Stdout, s.result.Stderr)
	}
}

// cmdDaemon: daemon hang|kill|unasked MOUNTPOINT.
func cmdDaemon(ts *script, _ bool, args []string) {
	server := of(ts).servers[expand(ts, args[1])]
	if server == nil {
		ts.Fatalf("nothing is served at %s", args[1])
	}
	switch args[0] {
	case "hang":
		<-server.Ready()
		server.Hang()
	case "kill":
		ts.Check(server.Close())
	case "unasked":
		if asked := server.Asked(); len(asked) > 0 {
			ts.Fatalf("the daemon was asked: %v", asked)
		}
	default:
		ts.Fatalf("daemon %s", args[0])
	}
}

// cmdPrompt: prompt wants the last run to have taken less than two seconds.
func cmdPrompt(ts *script, _ bool, _ []string) {
	if took := of(ts).result.Elapsed; took.Seconds() > 2 {
		ts.Fatalf("it took %v", took)
	}
}

// These commands make what a script needs: directories, files, devices, and mounts that
// are not the helper's.

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

// cmdFile: file UID MODE PATH makes a regular file, and records that it is one.
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
