//go:build linux

package fusemounts

import (
	"os"
	"reflect"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/pathfd"
)

func TestMain(m *testing.M) { os.Exit(fusetest.RunTests(m)) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mount mounts a FUSE file system and returns its entries with both kinds of id.
func mount(t *testing.T) (dir string, byUnique, byOld mtab.Entry) {
	t.Helper()
	fusetest.NeedDevice(t)
	dir = fusetest.Dir(t, 0)
	s, err := fuseserver.Mount(dir, fuseserver.Tree{}, fuseserver.MountOptions{})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() }) // some tests have unmounted it
	fd, err := pathfd.Open(unix.AT_FDCWD, dir, 0)
	must(t, err)
	defer unix.Close(fd)
	byUnique, _, err = mtab.ByFD(fd)
	must(t, err)
	old, err := mtab.OldID(fd)
	must(t, err)
	byOld, err = mtab.ByOldID(old)
	must(t, err)
	return dir, byUnique, byOld
}

func TestPresent(t *testing.T) {
	_, stays, staysOld := mount(t)
	dir, goes, goesOld := mount(t)
	entries := []mtab.Entry{stays, staysOld, goes, goesOld}
	if got := present(entries); !reflect.DeepEqual(got, []bool{true, true, true, true}) {
		t.Errorf("both are mounted: %v", got)
	}
	must(t, unix.Unmount(dir, unix.MNT_DETACH))
	if got := present(entries); !reflect.DeepEqual(got, []bool{true, true, false, false}) {
		t.Errorf("one is mounted: %v", got)
	}
}

// A watch ends with the mount or with stop, and the goroutine with the last watch.
func TestWatcher(t *testing.T) {
	dir, goes, _ := mount(t)
	_, stays, _ := mount(t)
	var w Watcher
	gone := make(chan struct{})
	stopGone := w.Add(goes, func() { close(gone) })
	stop := w.Add(stays, func() { t.Error("the other mount is gone") })
	stopped := w.Add(goes, func() { t.Error("called after stop") })
	stopped()
	must(t, unix.Unmount(dir, unix.MNT_DETACH))
	select {
	case <-gone:
	case <-time.After(fusetest.Patience):
		t.Fatal("nothing told")
	}
	stopGone()
	stop()
	again := make(chan struct{})
	w.Add(goes, func() { close(again) }) // it has gone already
	select {
	case <-again:
	default:
		t.Error("Add returned, and nothing told")
	}
	for deadline := time.Now().Add(fusetest.Patience); ; time.Sleep(time.Millisecond) {
		w.mu.Lock()
		running := w.running
		w.mu.Unlock()
		if !running {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the goroutine stays")
		}
	}
}
