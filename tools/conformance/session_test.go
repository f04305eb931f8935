package conformance

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// session is what one script does and has done.
type session struct {
	home    string // $H, a directory of alice's
	call    fusetest.Call
	way     []fusetest.Denied
	result  fusetest.Result
	name    string // of the program that was run last, in its messages
	servers map[string]*fusetest.Server
}

type sessionKey struct{}

func of(ts *testscript.TestScript) *session { return ts.Value(sessionKey{}).(*session) }

const alice = 4242

func setUp(env *testscript.Env, program string, way []fusetest.Denied) error {
	home, remove, err := fusetest.MakeDir(alice)
	if err != nil {
		return err
	}
	s := &session{home: home, way: way, servers: map[string]*fusetest.Server{}}
	s.call = fusetest.Call{
		Prog: program, UID: alice, GID: alice, Dir: home,
		Socket: fusetest.Stream, Deny: way,
	}
	env.Values[sessionKey{}] = s
	env.Setenv("H", home)
	env.Setenv("PROG", program)
	env.Defer(func() {
		for _, server := range s.servers {
			_ = server.Close() // its own failures are not what a script is about
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

// run calls the helper, and serves what it mounted.
func (s *session) run(args []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), fusetest.Patience)
	defer cancel()
	call := s.call
	call.Args = args
	s.name = call.Prog
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
	tree := fusetest.Tree{Files: map[string][]byte{"hello": []byte("hello, world\n")}}
	mountpoint := args[len(args)-1]
	if !filepath.IsAbs(mountpoint) {
		mountpoint = filepath.Join(s.call.Dir, mountpoint)
	}
	mountpoint = filepath.Clean(mountpoint)
	if st, err := os.Lstat(s.covered(mountpoint)); err == nil && st.Mode().IsRegular() {
		tree = fusetest.Tree{FileRoot: []byte("hello, world\n")}
	}
	s.servers[mountpoint] = fusetest.Serve(s.result.Dev, tree)
	return nil
}

// covered is where a script keeps a file that says what kind a mountpoint is:
// the mountpoint itself is the daemon's by now.
func (s *session) covered(mountpoint string) string { return mountpoint + ".kind" }

// messages gives the lines of standard error without the program's name, and
// the hints among them.
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
