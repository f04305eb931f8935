package conformance

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

func TestTraceProbe(t *testing.T) {
	addUsers(t)
	call, mountpoint := asUser(t)
	trace := filepath.Join(fusetest.Dir(t, 0), "trace")
	writeFile(t, "/run/mount/utab", "")
	call.KeepRoot = true
	call.Args = []string{"-f", "-s", "4096", "-o", trace, "-e", "trace=%file,%process", "-E", "LD_PRELOAD=/tmp/evil", "-u", "alice", call.Prog, "-o", "x-a", mountpoint}
	call.Prog = "/usr/bin/strace"
	r := run(t, call)
	b, _ := os.ReadFile(trace)
	t.Logf("%+v\n%s", r, b)
	call.Args = []string{"-f", "-s", "4096", "-o", trace, "-e", "trace=%file,%process", "-E", "LD_PRELOAD=/tmp/evil", "-u", "alice", call.Args[len(call.Args)-4], "-u",  mountpoint}
	r = run(t, call)
	b, _ = os.ReadFile(trace)
	t.Logf("%+v\n%s", r, b)
	_ = regexp.MustCompile
	_ = strings.Cut
	_ = unix.O_PATH
}
