package fusermount_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
)

func init() {
	jobs["ignored"] = func(args []string) error {
		signal.Ignore(unix.SIGCHLD)
		return withoutStatus(args)
	}
	jobs["reaped"] = func(args []string) error {
		go func() { // as process 1 of a container would
			for {
				if _, err := unix.Wait4(-1, nil, 0, nil); errors.Is(err, unix.ECHILD) {
					continue
				}
			}
		}()
		return withoutStatus(args)
	}
}

// withoutStatus goes through what a helper may do: DIRECTORY HELPER "ours"|"C".
func withoutStatus(args []string) error {
	o := &fusermount.Options{Helper: args[1]}
	_, unknown := fusermount.Mount(ctxOfJob(), args[0], &fusermount.Options{Helper: args[1], Extra: []string{"nonsense"}})
	_, forbidden := fusermount.Mount(ctxOfJob(), "/usr", o)
	if args[2] == "C" { // does not know the flag for it, and is asked again
		o.SyncInit = func(*os.File) error { return nil }
	}
	m, err := fusermount.Mount(ctxOfJob(), args[0], o)
	if err != nil {
		return err
	}
	fd, err := unix.Open(args[0], unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	busy := m.Unmount(ctxOfJob(), nil)
	for _, c := range []struct{ err, want error }{
		{unknown, fusermount.ErrUnknownOption},
		{forbidden, fs.ErrPermission},
		{busy, unix.EBUSY},
	} {
		if !errors.Is(c.err, c.want) || errors.Is(c.err, fusermount.ErrBadReply) || errors.Is(c.err, fusermount.ErrCovered) {
			return fmt.Errorf("%w is not %w, or not only", c.err, c.want)
		}
	}
	return errors.Join(unix.Close(fd), m.Unmount(ctxOfJob(), nil), m.Close())
}

// Where something else in the process takes the helpers' exit status, their words
// and the mount table are believed.
func TestReapedElsewhere(t *testing.T) {
	withHelpers(t, func(t *testing.T, helper string) {
		fusetest.NeedRoot(t)
		for _, job := range []string{"ignored", "reaped"} {
			dir := fusetest.Dir(t, user)
			doJob(t, jobCall(t, user, job, dir, helper, filepath.Base(t.Name())))
			wantNothing(t, dir)
		}
	})
}
