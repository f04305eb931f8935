package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// figures is the summary at the end.
var figures string

func TestMain(m *testing.M) {
	os.Exit(fusetest.Run(func() int {
		code := m.Run()
		if figures != "" {
			fmt.Println("conformance:", figures)
		}
		return code
	}))
}

const scripts = "../../testdata/script"

// users get a name each, since the C helper looks for one; nameless has none.
const users = "alice:x:4242:4242::/:/bin/sh\nbob:x:4343:4343::/:/bin/sh\n"

// ways are the system calls that fail in one run of all scripts, so that the helper uses
// its fallbacks.
var ways = map[string][]helpertest.Denied{
	"as-it-is":            nil,
	"mount2":              helpertest.NoFsopen,
	"mount2-eperm":        helpertest.Deny(unix.EPERM, "fsopen", "fsmount"),
	"late-eacces":         helpertest.Deny(unix.EACCES, "move_mount"),
	"mountinfo":           helpertest.NoStatmount,
	"mount2-mountinfo":    helpertest.Deny(unix.ENOSYS, "fsopen", "statmount", "listmount"),
	"old-faccessat-statx": append(helpertest.Deny(unix.ENOSYS, "faccessat2"), helpertest.Deny(unix.EPERM, "statmount")...),
}

func TestOurs(t *testing.T) {
	program := os.Getenv("FUSERMOUNT_HELPER")
	if program == "" {
		fusetest.Skip(t, "set FUSERMOUNT_HELPER to the helper: 'make test' does")
	}
	fusetest.NeedDevice(t)
	addUsers(t)
	for name, deny := range ways {
		t.Run(name, func(t *testing.T) { runScripts(t, machine{program: program, deny: deny}) })
	}
	t.Run("service", func(t *testing.T) {
		runScripts(t, machine{program: program, service: helpertest.StartService(t)})
	})
}

// machine is where the scripts run.
type machine struct {
	program   string
	deny      []helpertest.Denied
	reference bool                // program is the C helper
	service   *helpertest.Service // program is not set-uid, and asks it
}

func TestReference(t *testing.T) {
	program := os.Getenv("FUSERMOUNT_REFERENCE")
	if program == "" {
		t.Skip("compares with the C helper: run 'make test-reference'")
	}
	fusetest.NeedDevice(t)
	addUsers(t)
	runScripts(t, machine{program: program, reference: true})
}

func addUsers(t *testing.T) {
	fusetest.NeedRoot(t)
	text, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	// The first line with a name counts: the machine may have users of these names.
	if err := os.WriteFile("/etc/passwd", append([]byte(users), text...), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile("/etc/passwd", text, 0o644); err != nil {
			t.Error(err)
		}
	})
}

func runScripts(t *testing.T, m machine) {
	mode := fusetest.Setuid
	if m.service != nil {
		mode = fusetest.Plain
	}
	m.program = fusetest.InstallHelper(t, m.program, mode)
	testscript.RunT(serial{t}, testscript.Params{
		Dir:                 scripts,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			return setUp(env, m)
		},
		Cmds: commands,
		Condition: func(condition string) (bool, error) {
			switch {
			case compat.MatchString(condition):
				return m.reference, nil
			case condition == "service":
				return m.service != nil, nil
			case condition == "loop":
				err := exec.Command("losetup", "--find").Run()
				if err != nil && !fusetest.MaySkip() {
					return false, fmt.Errorf("provide loop devices and losetup: %w", err)
				}
				return err == nil, nil
			}
			return false, os.ErrInvalid
		},
	})
}

// serial runs the scripts one after the other, since they share /etc and /run.
type serial struct{ *testing.T }

func (s serial) Parallel() {}

func (s serial) Run(name string, f func(testscript.T)) {
	s.T.Run(name, func(t *testing.T) { f(serial{t}) })
}

func (s serial) Verbose() bool { return testing.Verbose() }

// compat is a condition that is true for the C helper. It names a row of COMPAT.md: a
// line with it fails when the row is no longer true.
var compat = regexp.MustCompile(`^compat:[a-z0-9-]+$`)

// TestCompatRows holds COMPAT.md to the rows of the scripts and the command lines.
func TestCompatRows(t *testing.T) {
	text, err := os.ReadFile("../../COMPAT.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\|").FindAllSubmatch(text, -1) {
		rows[string(m[1])] = true
	}
	used := map[string]bool{}
	for _, d := range differences {
		used[d.row] = true
	}
	files, err := filepath.Glob(filepath.Join(scripts, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\[!?compat:([a-z0-9-]+)\]`).FindAllSubmatch(text, -1) {
			used[string(m[1])] = true
		}
	}
	for _, set := range []struct {
		in, notIn map[string]bool
		problem   string
	}{
		{used, rows, "is used by a test and has no row in COMPAT.md"},
		{rows, used, "is a row of COMPAT.md that no test shows"},
	} {
		for id := range set.in {
			if !set.notIn[id] {
				t.Errorf("%s %s", id, set.problem)
			}
		}
	}
	if len(rows) == 0 {
		t.Error("COMPAT.md has no rows")
	}
}

// session is the state of one script.
type session struct {
	home    string // $H, a directory of alice's
	call    helpertest.Call
	way     []helpertest.Denied
	service string // a variable that names the mount service's socket, or empty
	result  helpertest.Result
	name    string // of the program that was run last, in its messages
	servers map[string]*fuseserver.Server
}

type sessionKey struct{}

func of(ts *testscript.TestScript) *session { return ts.Value(sessionKey{}).(*session) }

func setUp(env *testscript.Env, m machine) error {
	home, remove, err := fusetest.MakeDir(alice)
	if err != nil {
		return err
	}
	s := &session{home: home, way: m.deny, servers: map[string]*fuseserver.Server{}}
	s.call = helpertest.Call{
		Prog: m.program, UID: alice, GID: alice, Dir: home,
		Socket: helpertest.Stream, Deny: m.deny,
	}
	if m.service != nil {
		s.service = "FUSERMOUNT_SOCKET=" + m.service.Socket
	}
	env.Values[sessionKey{}] = s
	env.Setenv("H", home)
	env.Setenv("PROG", m.program)
	env.Defer(func() {
		for _, server := range s.servers {
			_ = server.Close() // a script does not test the server
		}
		err := remove()
		for _, path := range []string{"/etc/fuse.conf", "/run/mount"} {
			err = errors.Join(err, os.RemoveAll(path))
		}
		if err != nil {
			panic(err) // the next script would not start from nothing
		}
	})
	return nil
}

// run calls the helper, and serves the mount.
func (s *session) run(args []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), fusetest.Patience)
	defer cancel()
	call := s.call
	call.Args = args
	s.name = call.Prog
	if s.service != "" {
		call.Env = append(slices.Clone(call.Env), s.service)
	}
	s.result = call.Run(ctx)
	if s.result.Err != nil {
		return s.result.Err
	}
	if s.result.Dev == nil {
		return nil
	}
	if s.result.NFDs != 1 || string(s.result.Bytes) != "\x00" {
		return errors.New("not one byte and one descriptor")
	}
	tree := fuseserver.Tree{Files: map[string][]byte{"hello": []byte("hello, world\n")}}
	mountpoint := args[len(args)-1]
	if !filepath.IsAbs(mountpoint) {
		mountpoint = filepath.Join(s.call.Dir, mountpoint)
	}
	mountpoint = filepath.Clean(mountpoint)
	if st, err := os.Lstat(s.covered(mountpoint)); err == nil && st.Mode().IsRegular() {
		tree = fuseserver.Tree{FileRoot: []byte("hello, world\n")}
	}
	s.servers[mountpoint] = fuseserver.Serve(s.result.Dev, tree)
	return nil
}

// covered is a file of the same type as the mountpoint, which cannot be examined once it
// is covered.
func (s *session) covered(mountpoint string) string { return mountpoint + ".kind" }

// messages returns the lines of standard error without the program's name, and the
// hints among them.
func (s *session) messages() (lines, hints []string) {
	for line := range strings.SplitSeq(strings.TrimSuffix(s.result.Stderr, "\n"), "\n") {
		text, ok := strings.CutPrefix(line, s.name+": ")
		if !ok {
			text = line
		}
		if hint, ok := strings.CutPrefix(text, "hint: "); ok {
			hints = append(hints, hint)
		} else if line != "" {
			lines = append(lines, text)
		}
	}
	return lines, hints
}
