package races

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

const (
	alice = helpertest.Alice // attacks
	bob   = helpertest.Bob
)

var must = helpertest.Must

// world is the tree in which one attack is tried many times. All directories above the
// mountpoint are alice's, so alice can exchange them.
type world struct {
	base  string // root's, for all below
	roots string // root's, with the same names in it
	home  string // alice's
	m     string // the mountpoint, home/top/mid/par/m

	program string  // the helper
	service *served // nil: the helper is attacked

	here, elsewhere *fusetest.Thread // alice's, elsewhere in another mount namespace
	strangers       []fusetest.Line  // mounts of root's and bob's, which have to stay
	held            []*os.File       // devices of mounts without a daemon
}

// middle is the path from home to the mountpoint's parent, and the same in roots.
const middle = "top/mid/par"

func newWorld(t *testing.T) *world {
	t.Helper()
	base := fusetest.Dir(t, 0)
	w := &world{base: base, roots: filepath.Join(base, "roots"), home: filepath.Join(base, "home")}
	w.m = filepath.Join(w.home, middle, "m")
	must(t, w.mkdirs(w.roots, 0), w.mkdirs(w.home, alice))
	var err error
	w.here, err = fusetest.NewThread(alice, alice, false)
	must(t, err)
	t.Cleanup(w.here.Close)
	// Before anything is mounted here, so that nothing is a mountpoint there.
	w.elsewhere, err = fusetest.NewThread(alice, alice, true)
	must(t, err)
	t.Cleanup(w.elsewhere.Close)
	t.Cleanup(func() {
		for _, f := range w.held {
			must(t, f.Close())
		}
	})
	return w
}

func (w *world) mkdir(path string, uid int) error {
	return errors.Join(os.Mkdir(path, 0o755), os.Chmod(path, 0o755), os.Chown(path, uid, uid))
}

// mkdirs makes top, and the directories down to m in it.
func (w *world) mkdirs(top string, uid int) error {
	err := w.mkdir(top, uid)
	for _, name := range []string{"top", "mid", "par", "m"} {
		top = filepath.Join(top, name)
		err = errors.Join(err, w.mkdir(top, uid))
	}
	return err
}

// fuse mounts a FUSE file system of uid's without a daemon.
func (w *world) fuse(path string, uid int) error {
	dev, err := helpertest.MountUnserved(path, uid)
	if err != nil {
		return err
	}
	w.held = append(w.held, dev)
	return nil
}

// tmpfs mounts root's, with a root directory of uid's.
func (w *world) tmpfs(path string, uid int) error {
	return helpertest.Mount(path, "tmpfs", 0, fmt.Sprintf("mode=0755,uid=%d,gid=%d", uid, uid))
}

// guard records the topmost mount at path as a stranger's.
func (w *world) guard(path string) error {
	line, found, err := fusetest.TopMount(path)
	if err != nil || !found {
		return errors.Join(err, fmt.Errorf("nothing is mounted at %s", path))
	}
	w.strangers = append(w.strangers, line)
	return nil
}

// exchange swaps two names as alice, in the thread's namespace.
func exchange(thread *fusetest.Thread, a, b string) error {
	return thread.Do(func() error {
		return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	})
}
