package conformance

import (
	"context"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// Someone who stands in his own dead or hung mount can take it away by . and .., too:
// with default_permissions the kernel would ask the daemon before it let him pass.
func TestUnmountFromInside(t *testing.T) {
	for state, end := range map[string]func(*fusetest.Server) error{
		"dead": (*fusetest.Server).Close,
		"hung": func(s *fusetest.Server) error { s.Hang(); return nil },
	} {
		paths := []string{".", "../NAME", "PATH/.", "./", "./.", "../NAME/.", "PATH/./", "./../NAME//"}
		for _, path := range paths[:rounds(len(paths))] {
			t.Run(state+" "+path, func(t *testing.T) {
				call, mountpoint := asUser(t)
				call.Args = []string{"-o", "default_permissions", mountpoint}
				r := run(t, call)
				wantMounted(t, r, mountpoint)
				server := fusetest.Serve(r.Dev, fusetest.Tree{})
				t.Cleanup(func() { _ = server.Close() }) // dead in half of the cases
				<-server.Ready()
				rescue := time.AfterFunc(10*time.Second, func() { _ = server.Close() }) // nothing else ends who waits for it
				defer rescue.Stop()
				names := strings.NewReplacer("NAME", filepath.Base(mountpoint), "PATH", mountpoint)
				text, err := inside(t, mountpoint, func() {
					if err := end(server); err != nil {
						t.Error(err)
					}
				}, call.Prog, "-uz", names.Replace(path))
				if err != nil || text != "" {
					t.Errorf("%v: %s", err, text)
				}
				wantNothing(t, mountpoint)
			})
		}
	}
}

// inside runs a command as alice in a directory, and before does something that would
// keep her from going there.
func inside(t *testing.T, dir string, before func(), command ...string) (text string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), fusetest.Patience)
	t.Cleanup(cancel)
	sh := exec.CommandContext(ctx, "sh", append([]string{"-c", `echo && read go && exec "$@"`, "sh"}, command...)...)
	sh.Dir, sh.SysProcAttr = dir, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: alice, Gid: alice}}
	stdin, err := sh.StdinPipe()
	must(t, err)
	stdout, err := sh.StdoutPipe()
	must(t, err)
	sh.Stderr = sh.Stdout
	must(t, sh.Start())
	_, err = stdout.Read(make([]byte, 1)) // the shell has looked at its directory
	must(t, err)
	before()
	_, err = stdin.Write([]byte("\n"))
	must(t, err)
	out, err := io.ReadAll(stdout)
	must(t, err)
	return string(out), sh.Wait()
}
